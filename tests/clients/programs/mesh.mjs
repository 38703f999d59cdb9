// What the programs of Node's clients share; the questions are those of `mesh.py`.

export const URL = process.env.MESH_URL.replace(/\/$/, "");
export const BASE_URL = `${URL}/v1`;
export const KEY = process.env.MESH_KEY;
export const WRONG_KEY = "sk-wrong";
export const LOCAL = "vllm_local", CLOUD = "claude_sonnet", ANY = "auto", DOCUMENTS = "search";
export const EMBEDDING = "local_bge", UNKNOWN = "no-such-model";

// The lab's models say what stands in double brackets.
export const GREETING = "Good morning from the mesh.";
export const ASK = `[[${GREETING}]]`;
export const CITY = "Bergen", WEATHER = "It rains in Bergen, at 9 degrees.";
export const ASK_WITH_TOOL = `What is the weather in ${CITY}? [[tool:weather {"city": "${CITY}"}]]`;
export const TOOL_RESULT = `[[${WEATHER}]]`;
export const PERSON = { name: "Ada", age: 36 };
export const ASK_FOR_PERSON = `Who is it? [[${JSON.stringify(PERSON)}]]`;
export const TEXTS = Array.from({ length: 100 }, (_, number) => `Part ${number}: ${["bolt", "nut", "washer"][number % 3]}`);
export const PICTURE =
  "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAFklEQVR42mP4z8BAEmIY1TCqYfhqAACQ+f8B8u7oVwAAAABJRU5ErkJggg==";
export const ASK_ABOUT_PICTURE = "What do you see? [[A red square.]]";
export const SEEN = "A red square.";
export const FIRST_QUESTION = "Who makes the Borealis P-70 pump?";
export const FIRST_ANSWER = "The Borealis P-70 pump is made by Nordlys Pumper in Narvik.";
export const FOLLOW_UP = "And how often does it have to be serviced?";
export const FOUND = "every 14 months";

/** Fail with what came instead. */
export function expect(truth, says) {
  if (!truth) throw new Error(`unexpected: ${JSON.stringify(says)}`.slice(0, 1000));
}

function statusOf(error) {
  for (let at = error; at; at = at.cause ?? at.lastError) {
    const status = at.status ?? at.statusCode;
    if (Number.isInteger(status)) return status;
  }
  return 0;
}

/** What the platform says when it refuses; fails where it does not, or with another status or other words. */
export async function refusal(ask, status, ...words) {
  let answer;
  try {
    answer = await ask();
  } catch (error) {
    expect(statusOf(error) === status && words.every((word) => `${error}`.includes(word)), `${error}`);
    return error;
  }
  throw new Error(`it was taken: ${JSON.stringify(answer)}`.slice(0, 500));
}

/** Try each feature; with arguments, only those named. One JSON line each. */
export async function run(features) {
  const named = process.argv.slice(2);
  for (const feature of named.length ? named : Object.keys(features)) {
    let outcome = "works", says;
    try {
      says = await features[feature]();
      if (typeof says !== "string") says = says instanceof Error ? `${says}` : JSON.stringify(says);
    } catch (error) {
      const status = statusOf(error);
      outcome = (status >= 400 && status < 500) || status === 501 ? "refused" : "fails";
      says = `${error}`;
      if (outcome === "fails") console.error(error);
    }
    console.log(JSON.stringify({ feature, outcome, says: says.slice(0, 1500) }));
  }
}
