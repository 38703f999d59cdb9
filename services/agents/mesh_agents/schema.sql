-- Statements that can run at every start. LangGraph makes its own tables beside these.

CREATE TABLE IF NOT EXISTS documents (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    source text NOT NULL,
    media_type text NOT NULL,
    bytes bigint NOT NULL,
    content_hash text NOT NULL,
    -- Of the embedding model and the way of chunking: a change makes the same content new.
    pipeline text NOT NULL,
    status text NOT NULL CHECK (status IN ('ingesting', 'ready', 'deleting')),
    chunks integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant, source)
);
-- The file's own name; how far an ingest is; why it failed; the run that does it; what its chunks are marked with.
ALTER TABLE documents ADD COLUMN IF NOT EXISTS name text;
ALTER TABLE documents ADD COLUMN IF NOT EXISTS progress jsonb;
ALTER TABLE documents ADD COLUMN IF NOT EXISTS error jsonb;
ALTER TABLE documents ADD COLUMN IF NOT EXISTS run uuid;
ALTER TABLE documents ADD COLUMN IF NOT EXISTS version text;

-- What a reindex is made from: the text of each batch of pages, by the page behind it.
CREATE TABLE IF NOT EXISTS document_texts (
    document uuid NOT NULL REFERENCES documents ON DELETE CASCADE,
    content_hash text NOT NULL,
    last integer NOT NULL,
    text text NOT NULL,
    PRIMARY KEY (document, content_hash, last)
);

-- Files until a worker has read them. Unlogged: they are large, go soon, and belong in no backup. A crash of Postgres
-- empties it; then the ingest fails and says that the file has to be sent again.
CREATE UNLOGGED TABLE IF NOT EXISTS document_files (
    document uuid PRIMARY KEY,
    content_hash text NOT NULL,
    content bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS runs (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    idempotency_key text,
    status text NOT NULL CHECK (status IN ('waiting', 'queued', 'running', 'succeeded', 'failed', 'cancelled')),
    request jsonb NOT NULL,
    result jsonb,
    error jsonb,
    -- A heavy job starts no earlier; the sweep queues it then.
    not_before timestamptz,
    cancel_requested boolean NOT NULL DEFAULT false,
    -- The worker that holds the run; after `lease_until` any other may take it over.
    owner text,
    lease_until timestamptz,
    queued_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz,
    UNIQUE (tenant, idempotency_key)
);
-- How often a worker took it up and did not give it back.
ALTER TABLE runs ADD COLUMN IF NOT EXISTS attempts integer NOT NULL DEFAULT 0;
CREATE INDEX IF NOT EXISTS runs_open ON runs (status) WHERE status IN ('waiting', 'queued', 'running');
CREATE INDEX IF NOT EXISTS runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS run_events (
    run uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    type text NOT NULL,
    data jsonb NOT NULL,
    PRIMARY KEY (run, seq)
);

-- What a run did to the world outside, so that a run taken over does not do it again.
CREATE TABLE IF NOT EXISTS effects (
    run uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    key text NOT NULL,
    result jsonb,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run, key)
);

-- Files by OpenAI's API, as they were sent.
CREATE TABLE IF NOT EXISTS files (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    filename text NOT NULL,
    purpose text NOT NULL,
    bytes bigint NOT NULL,
    content bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz
);
CREATE OR REPLACE VIEW files_there AS
    SELECT id, tenant, filename, purpose, bytes, created_at, expires_at FROM files
    WHERE expires_at IS NULL OR expires_at > now();
CREATE INDEX IF NOT EXISTS files_listed ON files (tenant, created_at, id);
CREATE INDEX IF NOT EXISTS files_expire ON files (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS vector_stores (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    name text NOT NULL,
    description text,
    metadata jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_active_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS vector_stores_listed ON vector_stores (tenant, created_at, id);

-- Each is a document of the tenant, which a search in the vector store is narrowed to.
CREATE TABLE IF NOT EXISTS vector_store_files (
    vector_store text NOT NULL REFERENCES vector_stores ON DELETE CASCADE,
    file text NOT NULL REFERENCES files ON DELETE CASCADE,
    batch text,
    status text NOT NULL CHECK (status IN ('in_progress', 'completed', 'cancelled', 'failed')),
    attributes jsonb NOT NULL,
    error jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When it was attached last; until `lease_until` one process takes it in, and `attempts` counts those that did.
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    PRIMARY KEY (vector_store, file)
);
CREATE INDEX IF NOT EXISTS vector_store_files_file ON vector_store_files (file);
CREATE INDEX IF NOT EXISTS vector_store_files_open ON vector_store_files (since) WHERE status = 'in_progress';
