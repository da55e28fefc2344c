CREATE TABLE world (
    id            integer PRIMARY KEY,
    randomnumber  integer NOT NULL
);

INSERT INTO world SELECT i, 1 + floor(random() * 10000)
    FROM generate_series(1, 10000) i;

CREATE TABLE fortune (
    id       integer PRIMARY KEY,
    message  text NOT NULL
);

INSERT INTO fortune VALUES
    (1, 'A coroutine waits for no one, and everyone waits for it.'),
    (2, 'Who locks first, waits last.'),
    (3, 'There is no cloud; there is a queue.'),
    (4, 'A cache has two states: cold, and wrong.'),
    (5, 'What can be cancelled will be, in the middle.'),
    (6, '"It was fast on my machine," said the machine.'),
    (7, 'Time flies like an arrow; a timeout flies when you''re having fun.'),
    (8, 'Never trust a benchmark that you have not written yourself & run twice.'),
    (9, 'Trust it less if you have.'),
    (10, 'Two threads walk into a bar. a Two bar. threads into walk'),
    (11, '<script>alert("This is text, and no script.");</script>'),
    (12, '待てば海路の日和あり');

ANALYZE;
