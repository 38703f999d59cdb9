// OpenAI's SDK for Node.

import OpenAI, { toFile } from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import * as mesh from "./mesh.mjs";

const client = new OpenAI({ baseURL: mesh.BASE_URL, apiKey: mesh.KEY, maxRetries: 0, timeout: 120_000 });
const Person = z.object({ name: z.string(), age: z.number().int() });
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const TOOLS = [{ type: "function", function: { name: "weather", description: "The weather in a city", parameters } }];
const user = (content) => ({ role: "user", content });

await mesh.run({
  async models() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    mesh.expect(names.includes(mesh.ANY) && names.includes(mesh.DOCUMENTS), names);
    return names.join(", ");
  },
  async chat() {
    const messages = [{ role: "system", content: "Be brief." }, user(mesh.ASK)];
    const answer = await client.chat.completions.create({ model: mesh.ANY, messages });
    mesh.expect(answer.choices[0].message.content === mesh.GREETING && answer.usage.total_tokens > 0, answer);
    return answer.choices[0].message.content;
  },
  async stream() {
    const pieces = [];
    const events = client.chat.completions.stream({ model: mesh.LOCAL, messages: [user(mesh.ASK)] });
    events.on("content", (piece) => pieces.push(piece));
    const whole = await events.finalChatCompletion();
    mesh.expect(pieces.join("") === mesh.GREETING && pieces.length > 1, pieces);
    mesh.expect(whole.choices[0].finish_reason === "stop", whole);
    return `${pieces.length} pieces`;
  },
  async tools() {
    const asked = [];
    const weather = ({ city }) => (asked.push(city), mesh.TOOL_RESULT);
    const runner = client.chat.completions.runTools({
      model: mesh.LOCAL,
      messages: [user(mesh.ASK_WITH_TOOL)],
      tools: [{ type: "function", function: { ...TOOLS[0].function, parse: JSON.parse, function: weather } }],
    });
    const said = await runner.finalContent();
    mesh.expect(said === mesh.WEATHER && asked.join() === mesh.CITY, { said, asked });
    return said;
  },
  async structured() {
    const answer = await client.chat.completions.parse({
      model: mesh.LOCAL,
      messages: [user(mesh.ASK_FOR_PERSON)],
      response_format: zodResponseFormat(Person, "person"),
    });
    const found = answer.choices[0].message.parsed;
    mesh.expect(JSON.stringify(found) === JSON.stringify(mesh.PERSON), answer);
    return found;
  },
  async embeddings() {
    const { data } = await client.embeddings.create({ model: mesh.EMBEDDING, input: mesh.TEXTS });
    mesh.expect(data.length === 100 && data[0].embedding.length === data[99].embedding.length, data.length);
    mesh.expect(data[0].embedding.some((one, at) => one !== data[1].embedding[at]), "all are the same");
    return `${data.length} of ${data[0].embedding.length} numbers`;
  },
  async picture() {
    const url = `data:image/png;base64,${mesh.PICTURE}`;
    const parts = [{ type: "text", text: mesh.ASK_ABOUT_PICTURE }, { type: "image_url", image_url: { url } }];
    const answer = await client.chat.completions.create({ model: mesh.ANY, messages: [user(parts)] });
    mesh.expect(answer.choices[0].message.content.includes(mesh.SEEN), answer);
    return answer.choices[0].message.content;
  },
  async documents() {
    const before = [user(mesh.FIRST_QUESTION), { role: "assistant", content: mesh.FIRST_ANSWER }];
    const messages = [...before, user(mesh.FOLLOW_UP)];
    const answer = await client.chat.completions.create({ model: mesh.DOCUMENTS, messages });
    mesh.expect(answer.choices[0].message.content.includes(mesh.FOUND), answer);
    return answer.choices[0].message.content;
  },
  async wrong_key() {
    const other = new OpenAI({ baseURL: mesh.BASE_URL, apiKey: mesh.WRONG_KEY, maxRetries: 0 });
    const error = await mesh.refusal(() => other.models.list(), 401);
    mesh.expect(error instanceof OpenAI.AuthenticationError && error.type, `${error}`);
    return error;
  },
  async unknown_model() {
    const messages = [user("hello")];
    const ask = () => client.chat.completions.create({ model: mesh.UNKNOWN, messages });
    const error = await mesh.refusal(ask, 404, mesh.UNKNOWN);
    mesh.expect(error instanceof OpenAI.NotFoundError && error.code === "model_not_found", `${error}`);
    return error;
  },
  async responses() {
    const answer = await client.responses.create({ model: mesh.LOCAL, input: mesh.ASK });
    mesh.expect(answer.output_text === mesh.GREETING, answer);
    return answer.output_text;
  },
  async audio() {
    const asked = { model: "tts-1", voice: "alloy", input: "Good morning.", response_format: "wav" };
    const sound = Buffer.from(await (await client.audio.speech.create(asked)).arrayBuffer());
    mesh.expect(sound.subarray(0, 4).toString() === "RIFF", sound.subarray(0, 40).toString());
    const file = await toFile(sound, "morning.wav");
    const heard = await client.audio.transcriptions.create({ model: "whisper-1", file });
    mesh.expect(typeof heard.text === "string", heard);
    return `${sound.length} bytes spoken, heard: ${heard.text}`;
  },
  async images() {
    const made = await client.images.generate({ model: "gpt-image-1", prompt: "a red square", size: "1024x1024" });
    const content = Buffer.from(made.data[0].b64_json, "base64");
    mesh.expect(content.subarray(1, 4).toString() === "PNG", content.subarray(0, 20).toString());
    return `${content.length} bytes`;
  },
  async files() {
    const file = await toFile(Buffer.from("The lighthouse of Tysfjord is painted green."), "note.txt");
    const made = await client.files.create({ file, purpose: "assistants" });
    const gone = await client.files.delete(made.id);
    mesh.expect(made.filename === "note.txt" && gone.deleted, made);
    return made.id;
  },
});
