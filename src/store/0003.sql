-- What a row was when it was written, as a hash of its cells: a disk that changes a digit inside a page is noticed by
-- nobody else. Rows of before have none.
ALTER TABLE quote ADD COLUMN sum INTEGER;
ALTER TABLE change ADD COLUMN sum INTEGER;
ALTER TABLE source ADD COLUMN sum INTEGER;
ALTER TABLE document ADD COLUMN sum INTEGER;
