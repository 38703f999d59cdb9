"""The clients that are tried, what each is expected to do, and how a person sets it up.

`docs/clients.md` is made from it, and `tests/lab/test_clients.py` holds the clients to it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lab.images.recipes import N8N

PINNED: Final = Path(__file__).with_name("pinned")
"""A folder for each environment, with its locked requirements."""

FEATURES: Final[Mapping[str, str]] = {
    "models": "list of models",
    "chat": "chat",
    "stream": "stream",
    "tools": "tools",
    "structured": "structured output",
    "embeddings": "embeddings of 100 texts",
    "picture": "a picture",
    "documents": "follow-up from documents",
    "wrong_key": "wrong key",
    "unknown_model": "unknown model",
}
"""What is asked of every client, with the column's title."""
FURTHER: Final[Mapping[str, str]] = {
    "responses": "Responses API",
    "audio": "speech and transcription",
    "images": "images",
    "files": "files",
    "count_tokens": "count of tokens",
    "token_ids": "embeddings of token ids",
}
"""What only some of them can ask for."""


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client: a program in `programs/`, run in the environment of the same name as `pinned/`'s folder.

    n8n is the exception: it runs in the lab anyway, and `tests/lab/test_n8n_models.py` has the workflow.
    """

    name: str
    title: str
    package: str
    """As the registry has it; empty: it comes with the system."""
    program: str = ""
    works: tuple[str, ...]
    """Features."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Feature -> words of the platform's answer."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Feature -> why the client is not asked."""
    core: bool = False
    """Whether `make test` runs it too."""
    settings: str
    """What a person writes, in the language of `language`."""
    language: str
    quirks: tuple[str, ...] = ()

    @property
    def node(self) -> bool:
        """Whether it is a package of npm."""
        return self.program.endswith(".mjs")

    def version(self) -> str:
        """As it is pinned; empty for what comes with the system."""
        if not self.package:
            return ""
        if not self.program:
            return N8N
        folder = PINNED / self.name
        if self.node:
            return str(json.loads((folder / "package.json").read_text())["dependencies"][self.package])
        found = re.search(
            rf"^{re.escape(self.package)}(?:\[\w+\])?==(\S+)$", (folder / "requirements.in").read_text(), re.MULTILINE
        )
        if found is None:
            raise LookupError(f"{folder}/requirements.in does not pin {self.package}")
        return found[1]

    def expected(self) -> Mapping[str, str]:
        """Feature -> `works` or `refused`, of those that its program tries."""
        return dict.fromkeys(self.works, "works") | dict.fromkeys(self.refused, "refused")


_CHAT: Final = ("chat", "stream", "tools", "structured", "picture", "documents", "wrong_key", "unknown_model")
_OPENAI: Final = ("models", *_CHAT, "embeddings", "responses", "audio", "images", "files")
_IDS: Final = {"token_ids": "must be text"}
_NO_EMBEDDINGS: Final = {"embeddings": "Anthropic's API has none"}
_ROUTES: Final = {"documents": "search"}
"""Of Anthropic's API."""
_UNLISTED: Final = {"models": "the package lists none"}

CLIENTS: Final = (
    Client(
        name="openai-3",
        title="OpenAI Python 3",
        package="openai",
        program="openai_sdk.py",
        works=_OPENAI,
        refused=_IDS,
        core=True,
        language="python",
        settings="""\
client = openai.OpenAI(base_url="https://DOMAIN/v1", api_key=KEY)
client.chat.completions.create(model="auto", messages=[...])
client.embeddings.create(model="local_bge", input=[...])
""",
        quirks=("`OPENAI_BASE_URL` and `OPENAI_API_KEY` do the same.",),
    ),
    Client(
        name="openai-2",
        title="OpenAI Python 2",
        package="openai",
        program="openai_sdk.py",
        works=_OPENAI,
        refused=_IDS,
        language="python",
        settings='client = openai.OpenAI(base_url="https://DOMAIN/v1", api_key=KEY)\n',
    ),
    Client(
        name="openai-node",
        title="OpenAI Node",
        package="openai",
        program="openai_sdk.mjs",
        works=_OPENAI,
        language="js",
        settings='const client = new OpenAI({ baseURL: "https://DOMAIN/v1", apiKey: KEY });\n',
    ),
    Client(
        name="anthropic",
        title="Anthropic Python",
        package="anthropic",
        program="anthropic_sdk.py",
        works=("models", *(one for one in _CHAT if one not in _ROUTES), "count_tokens"),
        refused=_ROUTES,
        absent=_NO_EMBEDDINGS,
        core=True,
        language="python",
        settings="""\
client = anthropic.Anthropic(base_url="https://DOMAIN", api_key=KEY)
client.messages.create(model="claude_sonnet", max_tokens=1000, messages=[...])
""",
        quirks=(
            "The base URL has no `/v1`; `ANTHROPIC_BASE_URL` and `ANTHROPIC_API_KEY` do the same.",
            "The names of models are the platform's, of all that answer a chat, `vllm_local` too. `auto`, `search` and "
            "the other routes are answered at `/v1/chat/completions` only.",
        ),
    ),
    Client(
        name="anthropic-node",
        title="Anthropic Node",
        package="@anthropic-ai/sdk",
        program="anthropic_sdk.mjs",
        works=("models", *(one for one in _CHAT if one not in _ROUTES), "count_tokens"),
        refused=_ROUTES,
        absent=_NO_EMBEDDINGS,
        language="js",
        settings='const client = new Anthropic({ baseURL: "https://DOMAIN", apiKey: KEY });\n',
        quirks=("The base URL has no `/v1`.",),
    ),
    Client(
        name="langchain-openai",
        title="LangChain",
        package="langchain-openai",
        program="langchain.py",
        works=(*_CHAT, "embeddings", "responses"),
        absent=_UNLISTED,
        language="python",
        settings="""\
model = ChatOpenAI(model="auto", base_url="https://DOMAIN/v1", api_key=KEY)
embeddings = OpenAIEmbeddings(
    model="local_bge", base_url="https://DOMAIN/v1", api_key=KEY, check_embedding_ctx_length=False
)
""",
        quirks=(
            "Without `check_embedding_ctx_length=False` it sends token ids of one of OpenAI's models in place of "
            "texts, which are refused.",
        ),
    ),
    Client(
        name="llama-index",
        title="LlamaIndex OpenAI-like",
        package="llama-index-llms-openai-like",
        program="llama_index_like.py",
        works=(*_CHAT, "embeddings"),
        absent=_UNLISTED,
        language="python",
        settings="""\
llm = OpenAILike(
    model="auto",
    api_base="https://DOMAIN/v1",
    api_key=KEY,
    context_window=16384,
    is_chat_model=True,
    is_function_calling_model=True,
    should_use_structured_outputs=True,
)
embedding = OpenAILikeEmbedding(model_name="local_bge", api_base="https://DOMAIN/v1", api_key=KEY)
""",
        quirks=(
            "Without `is_chat_model` it calls `/v1/completions`, which is not served; it offers tools only with "
            "`is_function_calling_model`.",
            "Use `OpenAILike`: `OpenAI` refuses names of models that it does not know.",
        ),
    ),
    Client(
        name="litellm",
        title="LiteLLM SDK",
        package="litellm",
        program="litellm_sdk.py",
        works=("models", *_CHAT, "embeddings"),
        language="python",
        settings="""\
litellm.completion(model="openai/auto", api_base="https://DOMAIN/v1", api_key=KEY, messages=[...])
litellm.embedding(model="openai/local_bge", api_base="https://DOMAIN/v1", api_key=KEY, input=[...])
litellm.completion(model="anthropic/claude_sonnet", api_base="https://DOMAIN", api_key=KEY, messages=[...])
""",
        quirks=(
            "`openai/` before the name says which API is spoken; with `anthropic/` the base URL has no `/v1`.",
            "`LITELLM_LOCAL_MODEL_COST_MAP=True` spares it a download at each start.",
        ),
    ),
    Client(
        name="pydantic-ai",
        title="Pydantic AI",
        package="pydantic-ai-slim",
        program="pydantic_ai_agent.py",
        works=(*_CHAT, "embeddings"),
        absent=_UNLISTED,
        language="python",
        settings="""\
provider = OpenAIProvider(base_url="https://DOMAIN/v1", api_key=KEY)
agent = Agent(OpenAIChatModel("auto", provider=provider))
""",
    ),
    Client(
        name="instructor",
        title="Instructor",
        package="instructor",
        program="instructor_sdk.py",
        works=_CHAT,
        absent=_UNLISTED | {"embeddings": "it is for typed answers alone"},
        language="python",
        settings="""\
client = instructor.from_openai(openai.OpenAI(base_url="https://DOMAIN/v1", api_key=KEY))
client.create(model="vllm_local", response_model=Person, messages=[...])
""",
        quirks=("Both `Mode.TOOLS`, its default, and `Mode.JSON_SCHEMA` work.",),
    ),
    Client(
        name="vercel-ai",
        title="Vercel AI SDK",
        package="ai",
        program="vercel_ai.mjs",
        works=(*_CHAT, "embeddings", "responses"),
        absent=_UNLISTED,
        language="js",
        settings="""\
const openai = createOpenAI({ baseURL: "https://DOMAIN/v1", apiKey: KEY });
const anthropic = createAnthropic({ baseURL: "https://DOMAIN/v1", apiKey: KEY });
await generateText({ model: openai.chat("auto"), prompt });
await embedMany({ model: openai.embedding("local_bge"), values });
""",
        quirks=(
            "`openai.chat(NAME)`: plain `openai(NAME)` uses the Responses API, which knows the models and none of the "
            "routes (`auto`, `search` ...).",
            "`createAnthropic` wants `/v1` in its base URL, other than Anthropic's own SDK.",
        ),
    ),
    Client(
        name="aider",
        title="aider",
        package="aider-chat",
        program="aider_chat.py",
        works=("chat", "stream", "picture", "wrong_key", "unknown_model"),
        absent={
            "models": "it lists those of its own table",
            "tools": "it edits by what is in the text",
            "structured": "it edits by what is in the text",
            "embeddings": "it uses none",
            "documents": "it speaks about the files of its folder",
        },
        language="sh",
        settings="""\
export OPENAI_API_BASE=https://DOMAIN/v1 OPENAI_API_KEY=$KEY
aider --model openai/claude_sonnet --weak-model openai/vllm_local --model-metadata-file models.json
""",
        quirks=(
            '`models.json` tells it what it cannot know: `{"openai/claude_sonnet": {"max_input_tokens": 200000, '
            '"litellm_provider": "openai", "mode": "chat", "supports_vision": true}}`.',
            "It does not install on Python 3.13 and later.",
        ),
    ),
    Client(
        name="open-webui",
        title="Open WebUI",
        package="open-webui",
        program="open_webui.py",
        works=("models", "chat", "stream", "tools", "embeddings", "picture", "documents", "wrong_key", "images"),
        absent={
            "structured": "its page asks for none",
            "unknown_model": "it offers those that are listed",
        },
        language="sh",
        settings="""\
export OPENAI_API_BASE_URL=https://DOMAIN/v1 OPENAI_API_KEY=$KEY ENABLE_OLLAMA_API=false
export RAG_EMBEDDING_ENGINE=openai RAG_EMBEDDING_MODEL=local_bge RAG_EMBEDDING_BATCH_SIZE=100 \
  RAG_OPENAI_API_BASE_URL=https://DOMAIN/v1 RAG_OPENAI_API_KEY=$KEY
export ENABLE_IMAGE_GENERATION=true IMAGE_GENERATION_ENGINE=openai IMAGE_GENERATION_MODEL=gpt-image-1 \
  IMAGES_OPENAI_API_BASE_URL=https://DOMAIN/v1 IMAGES_OPENAI_API_KEY=$KEY
""",
        quirks=(
            "With `RAG_EMBEDDING_BATCH_SIZE` at its default of 1, a large file is more requests than the gateway lets "
            "through in a minute.",
            "Files that are given to its page are its own, and not among the documents that `search` answers from.",
            "Speech and transcription take the same settings with `AUDIO_TTS_` and `AUDIO_STT_` before their names, "
            "and `ffmpeg` beside it, which the lab lacks.",
        ),
    ),
    Client(
        name="n8n",
        title="n8n",
        package="n8n",
        works=("models", "chat", "tools", "structured", "embeddings", "picture", "wrong_key", "unknown_model"),
        absent={
            "stream": "a workflow answers when it is through",
            "documents": "a workflow has a key of the models and none of the agents",
        },
        language="text",
        settings="""\
Credential of type OpenAI: Base URL http://litellm:8081/v1, API Key `n8n` in
`pulumi stack output keys -s oracle1 --show-secrets`
""",
        quirks=(
            "Its workflows run inside the platform and do not pass the public edge; who calls a webhook does.",
            "Tried are OpenAI Chat Model (with the Responses API, which is its default, and without), OpenAI's Message "
            "a Model with a tool, Structured Output Parser, Embeddings OpenAI with an in-memory vector store, and HTTP "
            "Request with the same credential. The AI Agent is not: it loads SQLite's driver, which the lab's n8n "
            "lacks.",
            "Name models by ID: `vllm_local`, `claude_sonnet` ...; `auto` and the other routes are the agents'.",
        ),
    ),
    Client(
        name="curl",
        title="curl",
        package="",
        program="curl.py",
        works=_OPENAI,
        core=True,
        language="sh",
        settings="""\
curl https://DOMAIN/v1/chat/completions -H @key -H 'Content-Type: application/json' \\
  -d '{"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}'
""",
        quirks=(
            "`key` is a file with the line `Authorization: Bearer ...`: other users can read a program's arguments.",
        ),
    ),
)
