-- The tables of one oversight database (schema 3). Keys are 64-bit hashes of content (UBIGINT): the same
-- on every machine, so files can be merged and runs compared; views show them as sixteen hex digits.
-- zstd: speeches and prompts take half the file that DuckDB's own choice makes; and of a column that is mostly NULL
-- DuckDB 1.5 would otherwise read a huge text once for each NULL after it.

CREATE TABLE meta (name VARCHAR, value VARCHAR);

-- One invocation of `oversight run`.
CREATE TABLE runs (
    run UBIGINT, started TIMESTAMP, ended TIMESTAMP,
    status VARCHAR,            -- running, finished, failed (some episodes), stopped (Ctrl-C), crashed, killed
    command VARCHAR, config VARCHAR, seed BIGINT, version VARCHAR, machine VARCHAR,
    planned BIGINT, already_done BIGINT, played BIGINT
);
-- Which episodes a run planned: its ledger's denominator.
CREATE TABLE plans (run UBIGINT, episode UBIGINT);

CREATE TABLE passages (passage UBIGINT, text VARCHAR USING COMPRESSION zstd);
CREATE TABLE images (image UBIGINT, media_type VARCHAR, data BLOB);
CREATE TABLE questions (
    question UBIGINT, source_id VARCHAR, text VARCHAR, answers VARCHAR[],
    passage UBIGINT, "group" VARCHAR, stem VARCHAR, meta JSON, publish BOOLEAN,
    images UBIGINT[],          -- in order; NULL where there are none
    images_hidden BOOLEAN,     -- seen only by seats that read the passage
    passage_name VARCHAR       -- what prompts call the passage
);
-- The index of the right answer in questions.answers. Nothing that plays reads this table.
CREATE TABLE labels (question UBIGINT, label UTINYINT);

CREATE TABLE models (model UBIGINT, name VARCHAR, identity VARCHAR, kind VARCHAR);
CREATE TABLE templates (template UBIGINT, name VARCHAR, source VARCHAR);

-- One arm of an experiment: a protocol with its parameters and players.
CREATE TABLE arms (
    arm UBIGINT, protocol VARCHAR, params JSON, judge VARCHAR, speaker VARCHAR,
    players JSON               -- per role: model, identity, template, sampling, style, elicit, budgets
);
CREATE TABLE episodes (
    episode UBIGINT, arm UBIGINT,
    task VARCHAR,              -- with the parameters that differ from its defaults
    question UBIGINT,
    answer_order UTINYINT[],   -- answer_order[i]: index in questions.answers of the answer shown at i
    assignment VARCHAR,        -- seat=answer index, comma-separated, e.g. A=1,B=0
    argued UTINYINT,           -- the one answer argued, where one seat argues (consultancy); else NULL
    sample INTEGER, parent UBIGINT, cut_at INTEGER
);
CREATE TABLE turns (
    episode UBIGINT, turn INTEGER, kind VARCHAR, seat VARCHAR, role VARCHAR, round INTEGER,
    "text" VARCHAR USING COMPRESSION zstd, private VARCHAR USING COMPRESSION zstd, "full" VARCHAR USING COMPRESSION zstd, cut VARCHAR, words INTEGER, visible_to VARCHAR[], addressed VARCHAR,
    prompt UBIGINT,            -- the template
    placebo BOOLEAN            -- an answer that was given to another question
);
-- What a speaker made on the way to a turn: samples of which one is shown, drafts and critiques.
CREATE TABLE drafts (
    episode UBIGINT, turn INTEGER, n INTEGER, kind VARCHAR, "text" VARCHAR USING COMPRESSION zstd,
    score DOUBLE,              -- what the preference gave a sample
    shown BOOLEAN
);
-- What seats chose or estimated, after `turn` turns. kind: answer (one of the question's: the side of an open
-- protocol's seat), choice or estimate (among `options`; of the question's answers where that is NULL).
-- choice and probabilities are over questions.answers, or over the options.
CREATE TABLE choices (
    episode UBIGINT, turn INTEGER, n INTEGER, seat VARCHAR, role VARCHAR, model VARCHAR, kind VARCHAR,
    options VARCHAR[], choice UTINYINT, probabilities DOUBLE[], elicitation VARCHAR,
    detail VARCHAR USING COMPRESSION zstd, raw VARCHAR USING COMPRESSION zstd, first_raw VARCHAR USING COMPRESSION zstd
);
CREATE TABLE quotes (
    episode UBIGINT, turn INTEGER, quote INTEGER, "start" INTEGER, "end" INTEGER, verified BOOLEAN,
    passage_start INTEGER, passage_end INTEGER, cut BOOLEAN
);
-- choice and probabilities are over questions.answers (not the order shown).
-- turn: how many turns had been played. judge: the model; panel(a, b) for the pooled verdict of several. closing: read at the episode's last place, once in each way that
-- was asked for; the first of these is final, the episode's verdict.
CREATE TABLE verdicts (
    episode UBIGINT, turn INTEGER, judge VARCHAR, prompt UBIGINT, elicitation VARCHAR, final BOOLEAN,
    closing BOOLEAN,
    status VARCHAR,            -- decided, tie, unparsable, refused, failed
    reason VARCHAR,            -- of a failure: transport, filter, truncated, empty, context, rejected, undecided
    detail VARCHAR USING COMPRESSION zstd, choice UTINYINT, probabilities DOUBLE[],
    raw VARCHAR USING COMPRESSION zstd,  -- the judge's reply; for votes a JSON list of them
    first_raw VARCHAR USING COMPRESSION zstd  -- the reply before it, where it could not be read and was asked for again
);

-- What was said to models and what came back. A message is stored once.
CREATE TABLE messages (message UBIGINT, role VARCHAR, content VARCHAR USING COMPRESSION zstd, images UBIGINT[]);
CREATE TABLE calls (
    call UBIGINT, run UBIGINT,  -- the run that paid for it
    model UBIGINT, kind VARCHAR, messages UBIGINT[], continuations VARCHAR[],
    temperature DOUBLE, top_p DOUBLE, max_tokens INTEGER, stop VARCHAR[], sample INTEGER,
    "text" VARCHAR USING COMPRESSION zstd, private VARCHAR USING COMPRESSION zstd, stop_reason VARCHAR, scores DOUBLE[], token_ids INTEGER[], logprobs FLOAT[],
    prompt_tokens INTEGER, completion_tokens INTEGER,
    cached_tokens INTEGER, cache_write_tokens INTEGER,  -- of the prompt's: read from, written to a cache
    reasoning_tokens INTEGER,                           -- of the completion's: hidden reasoning
    cost DOUBLE,               -- US dollars; NULL is unknown
    started TIMESTAMP, seconds DOUBLE, provider_id VARCHAR,
    "schema" VARCHAR, letters VARCHAR[],                -- what the reply had to fit
    unlisted VARCHAR[],        -- letters whose score is only an upper bound
    served VARCHAR,            -- the model as the provider names what answered
    notes VARCHAR USING COMPRESSION zstd,  -- what the backend could not do as asked
    attempts INTEGER
);
-- Provider batches: a row when one is about to be sent, with its calls, and one when the provider has named it.
CREATE TABLE batches (batch VARCHAR, run UBIGINT, model UBIGINT, sent TIMESTAMP, provider_id VARCHAR, calls UBIGINT[]);
-- Calls that brought nothing back. Never reused.
CREATE TABLE failures (call UBIGINT, run UBIGINT, model UBIGINT, happened TIMESTAMP, reason VARCHAR, detail VARCHAR);
-- Which turn used which call (for a verdict, turn is the number of turns before it); paid marks the
-- one use for which the call was made: everything else found it in the store.
CREATE TABLE uses (episode UBIGINT, turn INTEGER, seat VARCHAR, n INTEGER, call UBIGINT, run UBIGINT, paid BOOLEAN);
-- Episodes that were played elsewhere: by whose importer, what the source calls them, what else it says of them.
CREATE TABLE imports (episode UBIGINT, run UBIGINT, source VARCHAR, name VARCHAR, meta JSON);
-- Who made an imported turn: more than one person may sit in a seat. Turns that were played here have calls.
CREATE TABLE authors (episode UBIGINT, turn INTEGER, model UBIGINT);
