// A stand-in for Prisma's native query engine, which no package registry serves: the engine of the same version, built
// for WebAssembly by its makers, behind the HTTP interface that Prisma's Python client starts and asks.

import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { createRequire } from "node:module"
import { jsonFields, toGraphql, toJson } from "./graphql.mjs"

const VERSION = "393aa359c9ad4a4bb28630fb5613f9c281cde053"
if (process.argv.includes("--version")) {
  console.log(`query-engine ${VERSION}`)
  process.exit(0)
}

const require = createRequire(import.meta.url)
const { Pool, types } = require("pg")
const { PrismaPg } = require("@prisma/adapter-pg")
const { bindAdapter } = require("@prisma/driver-adapter-utils")
const glue = require("@prisma/client/runtime/query_engine_bg.postgresql.js")

const module = new WebAssembly.Module(
  readFileSync(require.resolve("@prisma/client/runtime/query_engine_bg.postgresql.wasm")),
)
glue.__wbg_set_wasm(new WebAssembly.Instance(module, { "./query_engine_bg.js": glue }).exports)

const place = new URL(process.env.DATABASE_URL)
const limit = Number(place.searchParams.get("connection_limit") ?? 5)
place.search = ""
const pool = new Pool({ connectionString: place.href, max: limit, connectionTimeoutMillis: 5000 })
// Idle connections that the server ended are replaced by the next query.
pool.on("error", () => {})

// The names of tables and views, which the adapter does not know, are text.
const TEXT = { 19: 25, 1003: 1009 }
for (const [name, text] of Object.entries(TEXT)) types.setTypeParser(Number(name), types.getTypeParser(text))
const ask = pool.query.bind(pool)
pool.query = async (...asked) => {
  const answer = await ask(...asked)
  for (const field of answer.fields ?? []) field.dataTypeID = TEXT[field.dataTypeID] ?? field.dataTypeID
  return answer
}

const adapter = bindAdapter(new PrismaPg(pool))
const options = {
  datamodel: readFileSync(process.env.PRISMA_DML_PATH, "utf8"),
  env: process.env,
  configDir: ".",
  datasourceOverrides: {},
  engineProtocol: "json",
  ignoreEnvVarErrors: true,
  logLevel: "error",
  logQueries: false,
}
const json = jsonFields(options.datamodel)
const engine = new glue.QueryEngine(options, () => {}, adapter)
await engine.connect("{}")

// As the native engine says that no connection could be made.
const unreachable = {
  error: "Error in connector: the database cannot be reached",
  user_facing_error: {
    is_panic: false,
    error_code: "P1001",
    message: `Can't reach database server at \`${place.hostname}:${place.port}\``,
    meta: { database_host: place.hostname, database_port: Number(place.port) },
  },
}

function known(error) {
  const code = error.user_facing_error
  if (code?.error_code !== "P2036") return error
  const cause = adapter.errorRegistry.consumeError(code.meta.id)?.error
  const text = String(cause?.message || cause?.errors?.[0]?.message || cause)
  const lost = /ECONN|ENOTFOUND|EHOSTUNREACH|ETIMEDOUT|terminat|timeout|shutting down|starting up/i.test(text)
  return lost ? unreachable : { ...error, error: text, user_facing_error: { ...code, message: text } }
}

async function query(body, transaction) {
  const asked = JSON.parse(body)
  const each = (asked.batch ?? [asked]).map((one) => toJson(one.query, json))
  const requests = each.map((one) => one.request)
  const content = asked.batch ? { batch: requests, transaction: asked.transaction ? {} : undefined } : requests[0]
  const answer = JSON.parse(await engine.query(JSON.stringify(content), "{}", transaction))
  if (answer.errors) answer.errors = answer.errors.map(known)
  return toGraphql(answer, each.map((one) => one.alias))
}

async function answered(request, body) {
  const [, what, id, end] = request.url.split("/")
  if (what === "status") return { status: "ok" }
  if (what !== "transaction") return query(body, request.headers["x-transaction-id"])
  if (id === "start") return JSON.parse(await engine.startTransaction(body, "{}"))
  return JSON.parse(await (end === "commit" ? engine.commitTransaction(id, "{}") : engine.rollbackTransaction(id, "{}")))
}

const server = createServer(async (request, response) => {
  let body = ""
  for await (const part of request) body += part
  response.setHeader("content-type", "application/json")
  try {
    response.end(JSON.stringify(await answered(request, body)))
  } catch (error) {
    response.end(JSON.stringify({ errors: [{ error: String(error), user_facing_error: {} }] }))
  }
})
const stop = () => process.exit(0)
process.on("SIGINT", stop).on("SIGTERM", stop)
// Who is killed cannot end it.
const parent = process.ppid
setInterval(() => process.ppid === parent || stop(), 1000)
server.keepAliveTimeout = 0
server.listen(Number(process.argv[process.argv.indexOf("-p") + 1]), "localhost")
