-- Views made for people. They hold no data, and the first commit of whoever opens a file makes them anew.

CREATE OR REPLACE VIEW spending AS
SELECT u.episode, count(*) AS calls, count(*) FILTER (u.paid) AS paid_calls,
       sum(c.prompt_tokens) FILTER (u.paid) AS prompt_tokens,
       sum(c.completion_tokens) FILTER (u.paid) AS completion_tokens,
       CASE WHEN bool_or(u.paid AND c.cost IS NULL) THEN NULL ELSE coalesce(sum(c.cost) FILTER (u.paid), 0) END AS cost,
       sum(c.seconds) FILTER (u.paid) AS seconds
FROM uses u JOIN calls c USING (call) GROUP BY u.episode;

-- One row a final verdict. correct is NULL where the judge did not decide.
CREATE OR REPLACE VIEW judgements AS
SELECT lower(lpad(to_hex(e.episode), 16, '0')) AS id, a.protocol, a.params, e.task, lower(lpad(to_hex(q.question), 16, '0')) AS question,
       q."group", a.judge, a.speaker, e.answer_order, e.assignment, e.argued, l.label,
       e.argued = l.label AS argued_right,
       v.status, v.reason, v.choice, v.choice = l.label AS correct, v.probabilities,
       v.probabilities[l.label + 1] AS p_right, v.elicitation, e.sample, e.episode, a.arm
FROM verdicts v JOIN episodes e USING (episode) JOIN arms a USING (arm)
     JOIN questions q ON q.question = e.question JOIN labels l ON l.question = e.question
WHERE v.final;

-- One row a verdict at the end of an episode: the final one, and the same judge's read in other ways.
CREATE OR REPLACE VIEW readings AS
SELECT lower(lpad(to_hex(e.episode), 16, '0')) AS id, a.protocol, a.params, e.task, lower(lpad(to_hex(q.question), 16, '0')) AS question,
       q."group", v.judge, a.speaker, e.argued = l.label AS argued_right, v.elicitation, v.final, v.status, v.reason,
       v.detail, v.choice, v.choice = l.label AS correct, v.probabilities,
       v.probabilities[l.label + 1] AS p_right, e.sample, e.episode, a.arm
FROM verdicts v JOIN episodes e USING (episode) JOIN arms a USING (arm)
     JOIN questions q ON q.question = e.question JOIN labels l ON l.question = e.question
WHERE v.closing;

-- One row a turn, in order.
CREATE OR REPLACE VIEW transcripts AS
SELECT lower(lpad(to_hex(t.episode), 16, '0')) AS id, a.protocol, e.task, t.turn, t.kind, t.seat, t.role, t.round, t."text", t.private,
       t.cut, t.words, q.text AS question, t.episode
FROM turns t JOIN episodes e USING (episode) JOIN arms a USING (arm) JOIN questions q ON q.question = e.question
ORDER BY t.episode, t.turn;

-- Per arm and task: the ledger, and accuracy over the verdicts that were decided.
CREATE OR REPLACE VIEW accuracy AS
SELECT task, protocol, params, judge, speaker, count(*) AS episodes,
       count(*) FILTER (status = 'decided') AS decided, count(*) FILTER (status = 'tie') AS tie,
       count(*) FILTER (status = 'unparsable') AS unparsable, count(*) FILTER (status = 'refused') AS refused,
       count(*) FILTER (status = 'failed') AS failed, avg(correct::INTEGER) AS accuracy,
       count(DISTINCT question) AS questions, count(DISTINCT "group") AS groups, arm
FROM judgements GROUP BY ALL;

-- One row a question that was put to a seat and answered, with what asking and answering cost.
CREATE OR REPLACE VIEW queries AS
SELECT lower(lpad(to_hex(q.episode), 16, '0')) AS id, q.turn, q.seat, q.addressed AS target, q."text" AS query, r."text" AS answer,
       r.placebo, (SELECT sum(c.cost) FILTER (u.paid) FROM uses u JOIN calls c USING (call)
                   WHERE u.episode = q.episode AND u.turn IN (q.turn, r.turn)) AS cost, q.episode
FROM turns q JOIN turns r ON r.episode = q.episode AND r.turn = q.turn + 1 AND r.kind = 'answer' AND r.seat = q.addressed
WHERE q.kind = 'ask';

-- One row a belief of the judge: its verdict (in its first way) after so many turns, the final one included.
CREATE OR REPLACE VIEW beliefs AS
SELECT lower(lpad(to_hex(e.episode), 16, '0')) AS id, a.protocol, e.task, v.turn, v.judge, v.status, v.probabilities,
       v.probabilities[l.label + 1] AS p_right, v.final, e.episode, a.arm
FROM verdicts v JOIN episodes e USING (episode) JOIN arms a USING (arm) JOIN labels l ON l.question = e.question
WHERE v.final OR NOT v.closing;

-- One row a side: the answer that a seat of an open protocol chose to argue.
CREATE OR REPLACE VIEW sides AS
SELECT lower(lpad(to_hex(e.episode), 16, '0')) AS id, a.protocol, a.params, e.task, c.seat, c.role, c.model, c.choice,
       c.choice = l.label AS chose_right, v.status, v.choice = l.label AS correct, v.choice = c.choice AS won,
       v.probabilities[l.label + 1] AS p_right, e.episode, a.arm
FROM choices c JOIN episodes e USING (episode) JOIN arms a USING (arm) JOIN labels l ON l.question = e.question
     JOIN verdicts v ON v.episode = e.episode AND v.final
WHERE c.kind = 'answer';
