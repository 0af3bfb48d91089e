CREATE TABLE shelf (
	tenant  TEXT   NOT NULL,
	shelf   TEXT   NOT NULL,
	key     TEXT   NOT NULL,
	owner   TEXT   NOT NULL,
	version BIGINT NOT NULL,
	until   BIGINT NOT NULL,
	value   BYTES  NOT NULL,
	PRIMARY KEY (tenant, shelf, key)
);
CREATE INDEX shelf_owner ON shelf (tenant, owner, shelf) WHERE owner <> '';
CREATE INDEX shelf_until ON shelf (until);

CREATE TABLE account (
	tenant           TEXT   NOT NULL,
	user_id          TEXT   NOT NULL,
	subject          TEXT   NOT NULL,
	epoch            BIGINT NOT NULL DEFAULT 0,
	created_at       BIGINT NOT NULL DEFAULT 0,
	registered_at    BIGINT NOT NULL DEFAULT 0,
	skips            BIGINT NOT NULL DEFAULT 0,
	snoozed_until    BIGINT NOT NULL DEFAULT 0,
	confirmed_at     BIGINT NOT NULL DEFAULT 0,
	require_again_at BIGINT NOT NULL DEFAULT 0,
	frozen_until     BIGINT NOT NULL DEFAULT 0,
	intent           TEXT   NOT NULL DEFAULT '',
	intent_at        BIGINT NOT NULL DEFAULT 0,
	PRIMARY KEY (tenant, user_id),
	UNIQUE (tenant, subject)
);
CREATE INDEX account_intent ON account (tenant, intent_at) WHERE intent <> '';

CREATE TABLE authenticator (
	tenant       TEXT    NOT NULL,
	id           TEXT    NOT NULL,
	user_id      TEXT    NOT NULL,
	kind         TEXT    NOT NULL,
	label        TEXT    NOT NULL DEFAULT '',
	data         BYTES   NOT NULL,
	bound_at     BIGINT  NOT NULL,
	used_at      BIGINT  NOT NULL DEFAULT 0,
	bound_from   TEXT    NOT NULL DEFAULT '',
	suspended_at BIGINT  NOT NULL DEFAULT 0,
	preferred    BIGINT  NOT NULL DEFAULT 0,
	step         BIGINT  NOT NULL DEFAULT 0,
	PRIMARY KEY (tenant, id)
);
CREATE INDEX authenticator_user ON authenticator (tenant, user_id);

CREATE TABLE local_user (
	tenant         TEXT    NOT NULL,
	directory      TEXT    NOT NULL,
	id             TEXT    NOT NULL,
	login          TEXT    NOT NULL,
	login_key      TEXT    NOT NULL,
	name           TEXT    NOT NULL DEFAULT '',
	email          TEXT    NOT NULL DEFAULT '',
	email_key      TEXT    NOT NULL DEFAULT '',
	phone          TEXT    NOT NULL DEFAULT '',
	email_verified BIGINT  NOT NULL DEFAULT 0,
	password       TEXT    NOT NULL DEFAULT '',
	password_at    BIGINT  NOT NULL DEFAULT 0,
	previous       TEXT    NOT NULL DEFAULT '[]',
	disabled       BIGINT  NOT NULL DEFAULT 0,
	admin_locked   BIGINT  NOT NULL DEFAULT 0,
	expired        BIGINT  NOT NULL DEFAULT 0,
	must_change    BIGINT  NOT NULL DEFAULT 0,
	privileged     BIGINT  NOT NULL DEFAULT 0,
	locked_until   BIGINT  NOT NULL DEFAULT 0,
	created_at     BIGINT  NOT NULL DEFAULT 0,
	PRIMARY KEY (tenant, directory, id),
	UNIQUE (tenant, directory, login_key)
);
CREATE INDEX local_user_email ON local_user (tenant, directory, email_key) WHERE email_key <> '';

CREATE TABLE local_member (
	tenant     TEXT NOT NULL,
	directory  TEXT NOT NULL,
	user_id    TEXT NOT NULL,
	group_name TEXT NOT NULL,
	PRIMARY KEY (tenant, directory, user_id, group_name)
);

CREATE TABLE signing_key (
	tenant     TEXT   NOT NULL,
	id         TEXT   NOT NULL,
	alg        TEXT   NOT NULL,
	state      TEXT   NOT NULL,
	created_at BIGINT NOT NULL,
	active_at  BIGINT NOT NULL DEFAULT 0,
	retired_at BIGINT NOT NULL DEFAULT 0,
	key        BYTES  NOT NULL,
	PRIMARY KEY (tenant, id)
);

CREATE TABLE outbox (
	tenant       TEXT   NOT NULL,
	id           TEXT   NOT NULL,
	user_id      TEXT   NOT NULL DEFAULT '',
	recipient    BYTES  NOT NULL,
	body         BYTES  NOT NULL,
	created_at   BIGINT NOT NULL,
	due_at       BIGINT NOT NULL,
	until        BIGINT NOT NULL,
	tries        BIGINT NOT NULL DEFAULT 0,
	leased_until BIGINT NOT NULL DEFAULT 0,
	sent_at      BIGINT NOT NULL DEFAULT 0,
	state        TEXT   NOT NULL,
	kind         TEXT   NOT NULL DEFAULT '',
	PRIMARY KEY (tenant, id)
);
CREATE INDEX outbox_due ON outbox (tenant, state, due_at);

CREATE TABLE journal (
	tenant  TEXT   NOT NULL,
	seq     SERIAL,
	at      BIGINT NOT NULL,
	event   TEXT   NOT NULL,
	who     TEXT   NOT NULL DEFAULT '',
	actor   TEXT   NOT NULL DEFAULT '',
	flow    TEXT   NOT NULL DEFAULT '',
	client  TEXT   NOT NULL DEFAULT '',
	network TEXT   NOT NULL DEFAULT '',
	detail  TEXT   NOT NULL DEFAULT '',
	link    BIGINT,
	hash    TEXT
);
CREATE INDEX journal_who ON journal (tenant, who, seq);
CREATE INDEX journal_flow ON journal (tenant, flow) WHERE flow <> '';
CREATE INDEX journal_link ON journal (tenant, link);

CREATE TABLE pseudonym (
	tenant  TEXT NOT NULL,
	user_id TEXT NOT NULL,
	name    TEXT NOT NULL,
	PRIMARY KEY (tenant, user_id)
);
CREATE INDEX pseudonym_name ON pseudonym (tenant, name);

CREATE TABLE setting (
	tenant TEXT  NOT NULL,
	name   TEXT  NOT NULL,
	value  BYTES NOT NULL,
	PRIMARY KEY (tenant, name)
);
