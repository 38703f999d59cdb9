// Requests of Prisma's Python client, which speaks GraphQL, in the JSON protocol that the WebAssembly engine speaks.

import { Kind, parse } from "graphql"

const ACTIONS = [
  "findUnique", "findFirst", "findMany", "createOne", "createMany", "updateOne", "updateMany", "deleteOne",
  "deleteMany", "upsertOne", "aggregate", "groupBy",
]
const RAW = ["queryRaw", "executeRaw"]

function value(node) {
  switch (node.kind) {
    case Kind.INT:
    case Kind.FLOAT: {
      const number = Number(node.value)
      // What JavaScript cannot hold exactly.
      return node.kind === Kind.INT && !Number.isSafeInteger(number) ? { $type: "BigInt", value: node.value } : number
    }
    case Kind.NULL:
      return null
    case Kind.LIST:
      return node.values.map(value)
    case Kind.OBJECT:
      return Object.fromEntries(node.fields.map((field) => [field.name.value, value(field.value)]))
    case Kind.BOOLEAN:
    case Kind.STRING:
    case Kind.ENUM:
      return node.value
    default:
      throw new Error(`an argument of kind ${node.kind} is not known here`)
  }
}

function fields(field) {
  const given = field.arguments.map((argument) => [argument.name.value, value(argument.value)])
  const asked = (field.selectionSet?.selections ?? []).map((each) => [each.name.value, nested(each)])
  return { arguments: Object.fromEntries(given), selection: Object.fromEntries(asked) }
}

const nested = (field) => (field.selectionSet || field.arguments.length ? fields(field) : true)

// By model, the fields of type Json. Their values are texts in the one protocol and have a mark in the other.
export function jsonFields(schema) {
  const models = schema.matchAll(/^model (\w+) \{$([^]*?)^\}$/gm)
  return new Map(
    [...models].map(([, name, body]) => [name, new Set([...body.matchAll(/^\s*(\w+)\s+Json\b/gm)].map((m) => m[1]))]),
  )
}

function marked(given, json, inside = false) {
  if (inside && typeof given === "string") return { $type: "Json", value: given }
  if (Array.isArray(given)) return given.map((each) => marked(each, json, inside))
  if (given === null || typeof given !== "object" || "$type" in given) return given
  return Object.fromEntries(Object.entries(given).map(([name, each]) => [name, marked(each, json, inside || json.has(name))]))
}

// One operation: `{ result: findManyUser(...) { ... } }`.
export function toJson(query, json) {
  const field = parse(query, { noLocation: true }).definitions[0].selectionSet.selections[0]
  const name = field.name.value
  const action = RAW.find((raw) => raw === name) ?? ACTIONS.find((each) => name.startsWith(each))
  if (!action) throw new Error(`the operation ${name} is not known here`)
  const request = { action, query: fields(field) }
  if (name !== action) {
    request.modelName = name.slice(action.length)
    request.query.arguments = marked(request.query.arguments, json.get(request.modelName))
  }
  return { request, alias: (field.alias ?? field.name).value }
}

// JSON's answers say the types of dates, decimals and the like, GraphQL's do not.
function plain(answer) {
  if (Array.isArray(answer)) return answer.map(plain)
  if (answer === null || typeof answer !== "object") return answer
  if ("$type" in answer) return answer.value
  return Object.fromEntries(Object.entries(answer).map(([name, each]) => [name, plain(each)]))
}

// Of a query in SQL, columns of JSON are texts in the one protocol and values in the other.
function table(answer) {
  if (!answer?.columns) return answer
  const cell = (each, place) => {
    const text = typeof each === "string" && answer.types[place] === "json"
    return text ? JSON.parse(each) : each
  }
  return { ...answer, rows: answer.rows.map((row) => row.map(cell)) }
}

export function toGraphql(answer, aliases) {
  if (answer.batchResult) {
    return { ...answer, batchResult: answer.batchResult.map((each, place) => toGraphql(each, [aliases[place]])) }
  }
  if (!answer.data) return answer
  const [result] = Object.values(answer.data)
  return { ...answer, data: { [aliases[0]]: table(plain(result)) } }
}
