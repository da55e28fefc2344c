-- Who may pass.  A token is long and random in truth; what is stored is its
-- digest.

CREATE TABLE tokens (
    digest   bytea PRIMARY KEY,
    name     text NOT NULL,
    role     text NOT NULL DEFAULT 'user',
    expires  timestamptz NOT NULL DEFAULT now() + interval '1 day'
);

INSERT INTO tokens (digest, name, role, expires) VALUES
    (sha256('token-of-joe'), 'joe', 'user', DEFAULT),
    (sha256('token-of-ann'), 'ann', 'admin', DEFAULT),
    (sha256('old-token-of-joe'), 'joe', 'user', now() - interval '1 second');
