-- Whether a change was shown: what a source said while another one before it was served is kept for moments of the past
-- and is no part of a history. Of what an earlier version kept nobody knows; it stays part of it.
-- `late` 2: shown from then on, though its source said it before.
ALTER TABLE change ADD COLUMN shown INTEGER NOT NULL DEFAULT 1;
