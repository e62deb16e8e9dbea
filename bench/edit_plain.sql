\set note random(1, 1000000)
UPDATE rival.document SET value = jsonb_set(value, '{note}', to_jsonb(:note::text)) WHERE id = 'document';
