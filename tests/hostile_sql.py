"""Statements that a reader must be refused: with {folder} to write to and the {secret} file in it."""

HOSTILE = """
INSERT INTO episodes(episode) VALUES (-1)
WITH x AS (SELECT -1) INSERT INTO episodes(episode) SELECT * FROM x
DELETE FROM episodes
UPDATE episodes SET episode = 0
MERGE INTO episodes USING meta ON true WHEN MATCHED THEN DELETE
TRUNCATE episodes
DROP TABLE episodes
ALTER TABLE episodes ADD COLUMN x INT
CREATE TABLE x(i INT)
CREATE OR REPLACE MACRO memory.main.oversight_may_read(sid, query) AS true
SELECT 1; DROP TABLE episodes
/* SELECT */ DELETE FROM episodes
SELECT 1 /* ; */ ; /* */ DELETE FROM episodes
COMMENT ON TABLE episodes IS 'x'
VACUUM
ANALYZE
EXECUTE p
DEALLOCATE p
RESET ALL
PRAGMA database_list
PRAGMA enable_profiling
IMPORT DATABASE '{folder}'
EXPLAIN COPY episodes TO '{folder}/out.csv'
EXPLAIN (ANALYZE) COPY episodes TO '{folder}/out.csv'
EXPLAIN (ANALYZE, FORMAT json) FROM read_text('{secret}')
CREATE TEMP TABLE x AS FROM read_text('{secret}')
CREATE SECRET (TYPE http, BEARER_TOKEN 'x')
DROP MACRO memory.main.oversight_may_read
EXPLAIN ANALYZE DELETE FROM episodes
COPY episodes TO '{folder}/out.csv'
COPY (SELECT 1) TO '{folder}/out.csv'
EXPLAIN ANALYZE COPY episodes TO '{folder}/out.csv'
EXPORT DATABASE '{folder}/out'
ATTACH '{folder}/out.db'
DETACH oversight_db
INSTALL fts
LOAD fts
SET threads = 1
SET GLOBAL quack_authorization_function = 'quack_nop_authorization'
USE memory
CALL quack_stop('x')
FROM quack_stop('x')
SELECT * FROM quack_serve('quack:127.0.0.1:1', token = 'abcd')
PREPARE p AS SELECT 1
BEGIN
CHECKPOINT
FROM checkpoint()
FROM force_checkpoint('oversight_db')
SELECT nextval('counter')
SELECT "NEXTVAL"('counter')
SELECT write_log('x')
SELECT sleep_ms(1)
FROM enable_logging()
FROM arrow_scan(1, 2, 3)
FROM query('SELECT 1')
FROM query_table('{secret}')
FROM json_execute_serialized_sql('{{}}')
SELECT json_serialize_plan('FROM read_csv(''{secret}'')')
FROM read_csv('{secret}')
FROM read_csv_auto('{secret}')
FROM sniff_csv('{secret}')
FROM read_blob('{secret}')
FROM read_json('{secret}')
FROM read_ndjson_objects('{secret}')
FROM parquet_scan('{secret}')
FROM parquet_metadata('{secret}')
FROM 'http://127.0.0.1:9/x.csv'
FROM duckdb_settings()
FROM duckdb_secrets()
FROM which_secret('{secret}', 'http')
FROM duckdb_extensions()
FROM duckdb_logs()
FROM duckdb_temporary_files()
FROM pragma_storage_info('episodes')
FROM quack_query('quack:127.0.0.1:1', 'SELECT 1')
FROM quack_query_by_name('live', 'SELECT 1')
SELECT getenv('HOME')
FROM "read_text"('{secret}')
FROM system.main.read_text('{secret}')
SELECT (SELECT content FROM read_text('{secret}'))
WITH x AS (FROM read_text('{secret}')) FROM x
SELECT 1 ORDER BY (SELECT count(*) FROM glob('/*'))
SELECT 1 LIMIT (SELECT count(*) FROM glob('/*'))
SELECT sum(episode) FILTER (WHERE EXISTS (FROM glob('/*'))) FROM episodes
SELECT sum(episode) OVER (ORDER BY (SELECT count(*) FROM glob('/*'))) FROM episodes
SELECT list_transform([1], lambda x: (SELECT count(*) FROM glob('/*')))
SELECT * FROM episodes JOIN meta ON (SELECT true FROM glob('/*'))
WITH RECURSIVE r AS (SELECT 1 i UNION ALL SELECT i + 1 FROM r, glob('/*')) FROM r
PIVOT (FROM glob('/*')) ON file IN ('x') USING count(*)
DESCRIBE FROM read_text('{secret}')
SUMMARIZE FROM read_text('{secret}')
EXPLAIN ANALYZE FROM read_text('{secret}')
FROM '{secret}'
FROM "{secret}"
FROM data.csv
FROM a.b.csv
DESCRIBE '{secret}'
SUMMARIZE '{secret}'
""".strip().splitlines()

# A first word that hides: behind a line of comment, and behind blanks that are no ASCII.
HOSTILE += ["-- SELECT\nDELETE FROM episodes", "\ufeffDELETE FROM episodes", "\u00a0\t\nDELETE FROM episodes"]
