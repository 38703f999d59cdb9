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
