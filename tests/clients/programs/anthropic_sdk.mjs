// Anthropic's SDK for Node.

import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";
import * as mesh from "./mesh.mjs";

const client = new Anthropic({ baseURL: mesh.URL, apiKey: mesh.KEY, maxRetries: 0, timeout: 120_000 });
const Person = z.object({ name: z.string(), age: z.number().int() });
const input_schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ name: "weather", description: "The weather in a city", input_schema }];
const user = (content) => ({ role: "user", content });
const ask = (model, messages, more = {}) => client.messages.create({ model, max_tokens: 300, messages, ...more });

await mesh.run({
  async models() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    mesh.expect(names.includes(mesh.CLOUD), names);
    return names.join(", ");
  },
  async chat() {
    let answer;
    for (const model of [mesh.CLOUD, mesh.LOCAL]) {
      answer = await ask(model, [user(mesh.ASK)], { system: "Be brief." });
      mesh.expect(answer.content[0].text === mesh.GREETING && answer.usage.output_tokens > 0, answer);
    }
    return answer.content[0].text;
  },
  async stream() {
    const pieces = [];
    const events = client.messages.stream({ model: mesh.LOCAL, max_tokens: 300, messages: [user(mesh.ASK)] });
    events.on("text", (piece) => pieces.push(piece));
    const whole = await events.finalMessage();
    mesh.expect(pieces.join("") === mesh.GREETING && pieces.length > 1, pieces);
    mesh.expect(whole.stop_reason === "end_turn", whole);
    return `${pieces.length} pieces`;
  },
  async tools() {
    const question = user(mesh.ASK_WITH_TOOL);
    const first = await ask(mesh.CLOUD, [question], { tools });
    const call = first.content.find((block) => block.type === "tool_use");
    mesh.expect(first.stop_reason === "tool_use" && call.input.city === mesh.CITY, first);
    const result = user([{ type: "tool_result", tool_use_id: call.id, content: mesh.TOOL_RESULT }]);
    const messages = [question, { role: "assistant", content: first.content }, result];
    const answer = await ask(mesh.CLOUD, messages, { tools });
    mesh.expect(answer.content[0].text.includes(mesh.WEATHER), answer);
    return answer.content[0].text;
  },
  async structured() {
    const answer = await client.messages.parse({
      model: mesh.CLOUD,
      max_tokens: 300,
      messages: [user(mesh.ASK_FOR_PERSON)],
      output_config: { format: zodOutputFormat(Person) },
    });
    mesh.expect(JSON.stringify(answer.parsed_output) === JSON.stringify(mesh.PERSON), answer);
    return answer.parsed_output;
  },
  async picture() {
    const source = { type: "base64", media_type: "image/png", data: mesh.PICTURE };
    const parts = [{ type: "image", source }, { type: "text", text: mesh.ASK_ABOUT_PICTURE }];
    const answer = await ask(mesh.CLOUD, [user(parts)]);
    mesh.expect(answer.content[0].text.includes(mesh.SEEN), answer);
    return answer.content[0].text;
  },
  async documents() {
    const before = [user(mesh.FIRST_QUESTION), { role: "assistant", content: mesh.FIRST_ANSWER }];
    const answer = await ask(mesh.DOCUMENTS, [...before, user(mesh.FOLLOW_UP)]);
    mesh.expect(answer.content[0].text.includes(mesh.FOUND), answer);
    return answer.content[0].text;
  },
  async wrong_key() {
    const other = new Anthropic({ baseURL: mesh.URL, apiKey: mesh.WRONG_KEY, maxRetries: 0 });
    const asked = { model: mesh.CLOUD, max_tokens: 10, messages: [user("hello")] };
    const error = await mesh.refusal(() => other.messages.create(asked), 401);
    mesh.expect(error instanceof Anthropic.AuthenticationError && error.error?.type === "error", `${error}`);
    return error;
  },
  async unknown_model() {
    const error = await mesh.refusal(() => ask(mesh.UNKNOWN, [user("hello")]), 404, mesh.UNKNOWN);
    mesh.expect(error instanceof Anthropic.NotFoundError && error.error?.type === "error", `${error}`);
    return error;
  },
  async count_tokens() {
    const found = await client.messages.countTokens({ model: mesh.CLOUD, messages: [user(mesh.FIRST_QUESTION)] });
    mesh.expect(found.input_tokens > 3, found);
    return found;
  },
});
