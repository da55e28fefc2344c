CREATE TABLE notes (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text       text NOT NULL,
    completed  boolean NOT NULL DEFAULT false
);

INSERT INTO notes (text, completed) VALUES ('a', true), ('b', false);

CREATE TABLE items (
    id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name  text NOT NULL
);

INSERT INTO items (name) VALUES ('Foo'), ('Bar');
