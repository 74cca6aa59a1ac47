"""A large database made up in SQL, with something to read for every measure.

Each question is put to two judges: alone, with the passage, after debates of two pairs of three debaters (in both
orders; one of them with questions, and beliefs on the way) and after a consultancy for either answer. Judges lean to
the right answer, the first shown and the longer speaker, and give probabilities; one verdict in fifty is none.
Speeches are 120 words of a Zipf-like vocabulary.
"""

from __future__ import annotations

from pathlib import Path

from oversight.store.database import open_for_writing

TURNS = 120  # of one question: two judges, each 4 × 6 (debate), 2 × 12 (with questions), 2 × 6 (consultancy)
PASSAGE = 5  # questions on one

_JUDGE = """{"elicit": "%s", "identity": "made", "max_tokens": null, "model": "' || judge || '", "stop": [], "style": "free", "temperature": 0.0, "template": "%s"}"""
_SPEAKER = """{"elicit": null, "identity": "made", "model": "made/%s", "temperature": 1.0}"""
_PLAYERS = {
    "floor": f'{{"judge": {_JUDGE % ("letters", "1")}}}',
    "ceiling": f'{{"judge": {_JUDGE % ("letters", "1")}}}',
    "debate": f'{{"judge": {_JUDGE % ("letters", "2")}, "A": {_SPEAKER % "x"}, "B": {_SPEAKER % "y"}}}',
    "asked": f'{{"judge": {_JUDGE % ("letters", "3")}, "A": {_SPEAKER % "y"}, "B": {_SPEAKER % "z"}}}',
    "consultancy": f'{{"judge": {_JUDGE % ("letters+hard", "4")}, "consultant": {_SPEAKER % "x"}}}',
}

_STATEMENTS = f"""
INSERT INTO runs VALUES (1, '2025-01-01', '2025-01-02', 'finished', '', '{{}}', 0, '', '{{}}', $n * 24, 0, $n * 24);
INSERT INTO models VALUES (1, 'made/judge', 'made', 'scripted'), (2, 'made/other', 'made', 'scripted'), (3, 'made/x', 'made', 'scripted');
INSERT INTO templates VALUES (1, 'made.jinja', '');
CREATE TEMP TABLE kinds (kind VARCHAR, place INTEGER, protocol VARCHAR, params VARCHAR, speaker VARCHAR, turns INTEGER, episodes INTEGER);
INSERT INTO kinds VALUES ('floor', 0, 'direct', '{{"passage": false}}', NULL, 0, 2), ('ceiling', 1, 'direct', '{{"passage": true}}', NULL, 0, 2),
    ('debate', 2, 'debate', '{{"ask": false, "order": "simultaneous", "rounds": 3}}', 'made/x, made/y', 6, 4),
    ('asked', 3, 'debate', '{{"ask": true, "order": "simultaneous", "rounds": 3}}', 'made/y, made/z', 12, 2),
    ('consultancy', 4, 'consultancy', '{{"ask": false, "rounds": 6}}', 'made/x', 6, 2);
CREATE TEMP TABLE tables AS SELECT kinds.*, j, ['made/judge', 'made/other'][j + 1] AS judge, hash(kind, j) AS arm FROM kinds, range(2) t(j);
INSERT INTO arms SELECT arm, protocol, params, judge, speaker, CASE kind {" ".join(f"WHEN '{kind}' THEN '{players}'" for kind, players in _PLAYERS.items())} END FROM tables;
INSERT INTO passages SELECT i, 'passage ' || i FROM range($n // {PASSAGE} + 1) t(i);
INSERT INTO questions BY NAME SELECT hash(i) AS question, 's' || i AS source_id, 'Question ' || i || '?' AS text,
    ['yes', 'no'] AS answers, i // {PASSAGE} AS passage, 'g' || i // {PASSAGE} AS "group", '' AS stem, '{{}}' AS meta, true AS publish FROM range($n) t(i);
INSERT INTO labels SELECT hash(i), hash(i, 'label') % 2 FROM range($n) t(i);
CREATE TEMP TABLE played AS SELECT hash(i, arm, k) AS episode, i, k, tables.*, hash(i, 'label') % 2 AS label,
    CASE WHEN k % 2 = 0 THEN [0, 1] ELSE [1, 0] END AS answer_order, CASE WHEN protocol = 'consultancy' THEN k END AS argued,
    k // 2 AS sample, hash(i, 'hard') % 1000 / 250.0 - 2 + noise(hash(i, arm, k)) + CASE WHEN kind = 'floor' THEN 0.1 WHEN kind = 'ceiling' THEN 1.6 ELSE 0.8 END AS leaning,
    hash(i, arm, k, 'status') % 100 AS odd FROM range($n) t(i), tables, range(4) u(k) WHERE k < episodes;
INSERT INTO episodes BY NAME SELECT episode, arm, 'made' AS task, hash(i) AS question, answer_order, CASE protocol WHEN 'debate' THEN
    'A=' || answer_order[1] || ',B=' || answer_order[2] WHEN 'consultancy' THEN 'consultant=' || argued ELSE '' END AS assignment, argued, sample FROM played;
INSERT INTO plans SELECT 1, episode FROM played;
CREATE TEMP TABLE asked AS SELECT *, 1 / (1 + exp(-(leaning * CASE turns WHEN 0 THEN 1 ELSE heard / turns END + 0.2 * (answer_order[1] = label)::INT - 0.1))) AS p
    FROM (SELECT *, turns AS heard FROM played UNION ALL SELECT *, unnest([4, 8]) FROM played WHERE kind = 'asked');
INSERT INTO verdicts BY NAME SELECT episode, heard AS turn, judge, 1 AS prompt, 'letters' AS elicitation, heard = turns AS final, heard = turns AS closing,
    CASE odd WHEN 0 THEN 'unparsable' WHEN 1 THEN 'failed' ELSE 'decided' END AS status, CASE odd WHEN 1 THEN 'transport' END AS reason,
    CASE WHEN odd > 1 THEN CASE WHEN p > 0.5 THEN label ELSE 1 - label END END AS choice,
    CASE WHEN odd > 1 THEN CASE label WHEN 0 THEN [p, 1 - p] ELSE [1 - p, p] END END AS probabilities, 'Answer' AS raw FROM asked;
INSERT INTO verdicts BY NAME SELECT episode, turns AS turn, judge, 1 AS prompt, 'hard' AS elicitation, false AS final, true AS closing, 'decided' AS status,
    CASE WHEN leaning > 0 THEN label ELSE 1 - label END AS choice, 'Answer' AS raw FROM played WHERE kind = 'consultancy';
INSERT INTO choices BY NAME SELECT episode, 0 AS turn, 0 AS n, 'consultant' AS seat, 'consultant' AS role, 'made/x' AS model, 'answer' AS kind,
    argued AS choice, 'hard' AS elicitation FROM played WHERE kind = 'consultancy';
CREATE TEMP TABLE spoken AS SELECT episode, kind, j, turns, t, CASE WHEN protocol = 'consultancy' THEN 'consultant' WHEN kind = 'asked' THEN
    ['judge', 'A', 'A', 'B'][1 + t % 4] ELSE ['A', 'B'][1 + t % 2] END AS seat, CASE WHEN kind = 'asked' THEN t // 4 WHEN kind = 'debate' THEN t // 2 ELSE t END + 1 AS round,
    CASE WHEN kind = 'asked' THEN ['ask', 'answer', 'speak', 'speak'][1 + t % 4] ELSE 'speak' END AS act, hash(i, kind, k, t) AS said
    FROM played, range(12) u(t) WHERE t < turns;
INSERT INTO turns BY NAME SELECT episode, t AS turn, act AS kind, seat, CASE seat WHEN 'consultant' THEN seat WHEN 'judge' THEN seat ELSE 'debater' END AS role, round::INTEGER AS round,
    speech(said) AS text, '' AS private, (90 + said % 60)::INTEGER AS words, 1 AS prompt, CASE act WHEN 'ask' THEN 'A' END AS addressed FROM spoken;
CREATE TEMP TABLE used AS SELECT episode, t, seat, said AS call, CASE WHEN seat = 'judge' THEN 1 + j ELSE 3 END AS model, kind <> 'debate' OR j = 0 AS paid FROM spoken
    UNION ALL SELECT episode, turns, 'judge', hash(episode, 'verdict'), 1 + j, true FROM played;
INSERT INTO uses SELECT episode, t, seat, 0, hash(call, CASE WHEN paid THEN model ELSE 3 END), 1, paid FROM used;
INSERT INTO calls BY NAME SELECT hash(call, model) AS call, 1 AS run, model, 'generate' AS kind, [hash(call)] AS messages, 0 AS sample, '' AS private, speech(call) AS text,
    'end' AS stop_reason, 900 AS prompt_tokens, 160 AS completion_tokens, 0.001 AS cost, TIMESTAMP '2025-01-01' + to_milliseconds((rowid * 50)::BIGINT) AS started, 0.5 AS seconds, 1 AS attempts FROM used WHERE paid;
INSERT INTO messages BY NAME SELECT DISTINCT hash(call) AS message, 'user' AS role, 'What is said to a model.' AS content FROM used;
"""


def make(db: Path, turns: int) -> None:
    """A database of about so many turns."""
    con = open_for_writing(db)
    con.execute("SET enable_progress_bar = false")
    con.execute(
        "CREATE TEMP TABLE vocabulary AS SELECT list('w' || chr((97 + w % 26)::INT) || chr((97 + w // 26 % 26)::INT) "
        "|| chr((97 + w // 676 % 26)::INT) || chr((97 + w // 17576 % 26)::INT) ORDER BY w) AS words FROM range(20000) t(w)"
    )
    words = con.execute("SELECT words FROM vocabulary").fetchall()[0][0]
    con.execute(
        "CREATE TEMP TABLE speeches AS SELECT i, string_agg($1[1 + floor(20000 * pow((hash(i, k) % 1000000) / 1e6, 3))::INT], ' ') AS text "
        "FROM range(5000) s(i), range(120) u(k) GROUP BY i",
        [words],
    )
    # 5,000 speeches, in halves put together anew: few enough to make, too many to compress away.
    con.execute(
        "CREATE TEMP TABLE halves AS SELECT list(left(text, 400) ORDER BY i) AS a, list(right(text, 400) ORDER BY i) AS b FROM speeches"
    )
    a, b = con.execute("SELECT a, b FROM halves").fetchall()[0]
    con.execute("SET VARIABLE a = $1", [a])
    con.execute("SET VARIABLE b = $1", [b])
    con.execute(
        "CREATE TEMP MACRO speech(i) AS getvariable('a')[1 + (hash(i) % 5000)::INT] || ' ' || getvariable('b')[1 + (hash(i, 1) % 5000)::INT]"
    )
    con.execute("CREATE TEMP MACRO noise(i) AS list_sum([hash(i, k) % 1000 for k in range(6)]) / 500.0 - 6")
    for statement in _STATEMENTS.split(";\n"):
        if statement.strip():
            con.execute(statement.replace("$n", str(max(2, turns // TURNS))))
    con.execute("CHECKPOINT oversight_db")
    con.close()
