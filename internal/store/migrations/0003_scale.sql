CREATE INDEX journal_tenant ON journal (tenant, seq);
CREATE INDEX journal_unlinked ON journal (tenant, seq) WHERE link IS NULL;
CREATE INDEX journal_linked ON journal (tenant, link) WHERE link IS NOT NULL;
CREATE INDEX journal_reference ON journal (tenant, seq) WHERE detail LIKE '%"reference":"%';
DROP INDEX journal_link;

CREATE INDEX local_member_group ON local_member (tenant, directory, group_name, user_id);

CREATE INDEX outbox_waiting ON outbox (tenant, due_at) WHERE state = 'waiting';
CREATE INDEX outbox_done ON outbox (tenant, due_at) WHERE state <> 'waiting';
DROP INDEX outbox_due;
CREATE INDEX outbox_user ON outbox (tenant, user_id) WHERE user_id <> '';

CREATE INDEX authenticator_head ON authenticator (substr(data, 1, 11), tenant);
CREATE INDEX signing_key_head ON signing_key (substr(key, 1, 11), tenant);
