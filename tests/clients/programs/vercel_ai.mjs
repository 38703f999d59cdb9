// Vercel's AI SDK, with its providers for OpenAI and Anthropic.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { embedMany, generateText, isStepCount, Output, streamText, tool } from "ai";
import { z } from "zod";
import * as mesh from "./mesh.mjs";

const openai = createOpenAI({ baseURL: mesh.BASE_URL, apiKey: mesh.KEY });
// Its base URL ends in `/v1`, other than that of Anthropic's own SDK.
const anthropic = createAnthropic({ baseURL: mesh.BASE_URL, apiKey: mesh.KEY });
const chat = (model) => openai.chat(model);
const once = { maxRetries: 0 };
const weather = (asked) =>
  tool({
    description: "The weather in a city",
    inputSchema: z.object({ city: z.string() }),
    execute: ({ city }) => (asked.push(city), mesh.TOOL_RESULT),
  });

await mesh.run({
  async chat() {
    for (const model of [chat(mesh.ANY), anthropic(mesh.CLOUD)]) {
      const answer = await generateText({ model, system: "Be brief.", prompt: mesh.ASK, ...once });
      mesh.expect(answer.text === mesh.GREETING && answer.usage.totalTokens > 0, answer.text);
    }
    return mesh.GREETING;
  },
  async stream() {
    const pieces = [];
    const answer = streamText({ model: chat(mesh.LOCAL), prompt: mesh.ASK, ...once, onError: ({ error }) => { throw error; } });
    for await (const piece of answer.textStream) pieces.push(piece);
    mesh.expect(pieces.join("") === mesh.GREETING && pieces.length > 1, pieces);
    mesh.expect((await answer.usage).totalTokens > 0, await answer.usage);
    return `${pieces.length} pieces`;
  },
  async tools() {
    for (const model of [chat(mesh.LOCAL), anthropic(mesh.CLOUD)]) {
      const asked = [];
      const given = { model, prompt: mesh.ASK_WITH_TOOL, tools: { weather: weather(asked) }, ...once };
      const answer = await generateText({ ...given, stopWhen: isStepCount(3) });
      mesh.expect(answer.text.includes(mesh.WEATHER) && asked.join() === mesh.CITY, { text: answer.text, asked });
    }
    return mesh.WEATHER;
  },
  async structured() {
    const schema = z.object({ name: z.string(), age: z.number().int() });
    const output = Output.object({ schema });
    const answer = await generateText({ model: chat(mesh.LOCAL), output, prompt: mesh.ASK_FOR_PERSON, ...once });
    mesh.expect(JSON.stringify(answer.output) === JSON.stringify(mesh.PERSON), answer.output);
    return answer.output;
  },
  async embeddings() {
    const { embeddings } = await embedMany({ model: openai.embedding(mesh.EMBEDDING), values: mesh.TEXTS, ...once });
    mesh.expect(embeddings.length === 100 && embeddings[0].length === embeddings[99].length, embeddings.length);
    return `${embeddings.length} of ${embeddings[0].length} numbers`;
  },
  async picture() {
    const parts = [
      { type: "text", text: mesh.ASK_ABOUT_PICTURE },
      { type: "file", data: Buffer.from(mesh.PICTURE, "base64"), mediaType: "image/png" },
    ];
    const answer = await generateText({ model: chat(mesh.ANY), messages: [{ role: "user", content: parts }], ...once });
    mesh.expect(answer.text.includes(mesh.SEEN), answer.text);
    return answer.text;
  },
  async documents() {
    const messages = [
      { role: "user", content: mesh.FIRST_QUESTION },
      { role: "assistant", content: mesh.FIRST_ANSWER },
      { role: "user", content: mesh.FOLLOW_UP },
    ];
    const answer = await generateText({ model: chat(mesh.DOCUMENTS), messages, ...once });
    mesh.expect(answer.text.includes(mesh.FOUND), answer.text);
    return answer.text;
  },
  async wrong_key() {
    const model = createOpenAI({ baseURL: mesh.BASE_URL, apiKey: mesh.WRONG_KEY }).chat(mesh.LOCAL);
    const error = await mesh.refusal(() => generateText({ model, prompt: "hello", ...once }), 401);
    // Read from the body: the SDK leaves it out where it is not in OpenAI's shape.
    mesh.expect(error.data?.error?.message, `${error}`);
    return error;
  },
  async unknown_model() {
    return await mesh.refusal(() => generateText({ model: chat(mesh.UNKNOWN), prompt: "hello", ...once }), 404, mesh.UNKNOWN);
  },
  async responses() {
    // What `openai("NAME")` uses where `.chat` is not said.
    const answer = await generateText({ model: openai(mesh.LOCAL), prompt: mesh.ASK, ...once });
    mesh.expect(answer.text === mesh.GREETING, answer.text);
    return answer.text;
  },
});
