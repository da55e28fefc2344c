-- Users, and who of them has logged in.  A password is stored as crypt(3) hashes
-- it, by yescrypt: slow by design.  A session's token is long and random, so that
-- a digest of it is enough.

CREATE TABLE users (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name      text NOT NULL UNIQUE,
    role      text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
    password  text NOT NULL
);

CREATE TABLE sessions (
    digest   bytea PRIMARY KEY,
    user_id  bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    expires  timestamptz NOT NULL
);

-- joe's password is "swordfish", and ann's "wonderland"

INSERT INTO users (name, role, password) VALUES
    ('joe', 'user',
     '$y$j9T$ONKbMp1hw8s5iordkCyjc.$k9SMaIDlgKIDPlLsSumgP05PSd170592YWSOajG3dJ8'),
    ('ann', 'admin',
     '$y$j9T$kZKjDpkaUPz0PJAwb9Zp/0$mUJZOIF4O4GxVOg18qHVWvDWkRezTne4pGrUBKU9qu/');
