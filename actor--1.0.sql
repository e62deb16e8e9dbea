-- complain if the script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION actor" to load this file. \quit

/*
 * The tables live in a schema of their own, with a fixed name; the functions
 * live in the schema named at CREATE EXTENSION.  CREATE SCHEMA without IF NOT
 * EXISTS refuses a schema that somebody has prepared.
 */
CREATE SCHEMA actor;
COMMENT ON SCHEMA actor IS 'tables and views of the extension actor';

/*
 * Tables.  They are written by the library only.  Every key begins with the
 * actor, so that the tables can be distributed by actor_id; texts that name
 * something compare bytewise, so that no change of a locale harms an index.
 */

CREATE TABLE actor.type (
    actor_type                   text COLLATE "C" PRIMARY KEY,
    schema_name                  name NOT NULL UNIQUE,
    owner_name                   name NOT NULL,
    idle_timeout                 interval,
    scan_interval                interval,
    reentrancy                   boolean,
    max_stack_depth              integer,
    call_timeout                 interval,
    drain_ongoing_call_timeout   interval,
    drain_rebalanced_actors      boolean,
    reminders_storage_partitions integer,
    early_release                boolean,
    hosted                       boolean NOT NULL,
    turn                         text,
    history                      text,
    history_retention            interval,
    history_since                timestamptz,
    schema_oid                   oid NOT NULL,
    system_identifier            bigint NOT NULL
);
COMMENT ON TABLE actor.type IS 'registered actor types; NULL options follow the setting of that name';
COMMENT ON COLUMN actor.type.actor_type IS 'name of the type';
COMMENT ON COLUMN actor.type.schema_name IS 'schema whose functions are the methods';
COMMENT ON COLUMN actor.type.owner_name IS 'role that owned the schema at registration';
COMMENT ON COLUMN actor.type.idle_timeout IS 'idle time after which an actor is deactivated';
COMMENT ON COLUMN actor.type.scan_interval IS 'time between two looks for idle actors';
COMMENT ON COLUMN actor.type.reentrancy IS 'whether a call chain may enter an actor again';
COMMENT ON COLUMN actor.type.max_stack_depth IS 'how often one actor may be on the stack of a chain';
COMMENT ON COLUMN actor.type.call_timeout IS 'how long a call waits for the turn; 0 waits for ever';
COMMENT ON COLUMN actor.type.drain_ongoing_call_timeout IS 'time a running callback gets when its worker is stopped';
COMMENT ON COLUMN actor.type.drain_rebalanced_actors IS 'whether a running callback gets that time';
COMMENT ON COLUMN actor.type.reminders_storage_partitions IS 'number of slices the due reminders are drained in; 0: automatic';
COMMENT ON COLUMN actor.type.early_release IS 'whether turns are given back before their commit is on disk';
COMMENT ON COLUMN actor.type.hosted IS 'whether an application has the methods that are no functions of the schema';
COMMENT ON COLUMN actor.type.turn IS 'what a turn of such a method is: transaction, or lease, an open turn; NULL: transaction';
COMMENT ON COLUMN actor.type.history IS 'what is kept of what has run: off, calls or changes; NULL: off';
COMMENT ON COLUMN actor.type.history_retention IS 'for how long that is kept';
COMMENT ON COLUMN actor.type.history_since IS 'since when changes are kept; NULL: they are not';
COMMENT ON COLUMN actor.type.schema_oid IS 'oid of that schema at registration';
COMMENT ON COLUMN actor.type.system_identifier IS 'server in which it had that oid, as in pg_control_system()';
SELECT pg_catalog.pg_extension_config_dump('actor.type', '');

/*
 * The roles that our rows name: which role had that name when it was first
 * used, in which server.  An entry is not unique, so that nobody waits for
 * another one to be committed; it only has a key.
 */
CREATE TABLE actor.role (
    role_name         name NOT NULL,
    entry             bigint NOT NULL,
    role_oid          oid NOT NULL,
    system_identifier bigint NOT NULL,
    PRIMARY KEY (role_name, entry)
);
COMMENT ON TABLE actor.role IS 'roles that rows of the extension name, and whom the names mean';
COMMENT ON COLUMN actor.role.role_name IS 'name, as the rows have it';
COMMENT ON COLUMN actor.role.entry IS 'random number of the entry';
COMMENT ON COLUMN actor.role.role_oid IS 'oid of the role that has used the name';
COMMENT ON COLUMN actor.role.system_identifier IS 'server in which it had that oid, as in pg_control_system(); 0: the role is gone';
SELECT pg_catalog.pg_extension_config_dump('actor.role', '');

/*
 * What names locks, so that nobody can choose a name whose lock is that of
 * another one.  It is no data: a dump leaves it out, and what is restored has its own.
 */
CREATE TABLE actor.secret (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    hash_key bytea NOT NULL CHECK (pg_catalog.length(hash_key) OPERATOR(pg_catalog.=) 16),
    host_key bytea NOT NULL DEFAULT pg_catalog.sha256(
        pg_catalog.uuid_send(pg_catalog.gen_random_uuid()) OPERATOR(pg_catalog.||)
        pg_catalog.uuid_send(pg_catalog.gen_random_uuid()))
);
COMMENT ON TABLE actor.secret IS 'keys of this database: of the hashes that name locks, and of hosts; nobody reads it but the library';
COMMENT ON COLUMN actor.secret.only_row IS 'there is one row';
COMMENT ON COLUMN actor.secret.hash_key IS 'random bytes, made by CREATE EXTENSION, and never changed';
COMMENT ON COLUMN actor.secret.host_key IS 'random bytes of which the texts are made by which hosts know each other';
ALTER TABLE actor.secret ENABLE ROW LEVEL SECURITY;
INSERT INTO actor.secret (hash_key)
SELECT pg_catalog.substr(pg_catalog.sha256(
           pg_catalog.uuid_send(pg_catalog.gen_random_uuid()) OPERATOR(pg_catalog.||)
           pg_catalog.uuid_send(pg_catalog.gen_random_uuid())), 1, 16);

CREATE TABLE actor.state (
    actor_type text COLLATE "C" NOT NULL,
    actor_id   text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    value      jsonb NOT NULL,
    updated_at timestamptz NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (actor_type, actor_id, key)
) WITH (fillfactor = 80);
CREATE INDEX state_expiry ON actor.state (expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE actor.state IS 'state of the actors, one row a key';
COMMENT ON COLUMN actor.state.actor_type IS 'type of the actor';
COMMENT ON COLUMN actor.state.actor_id IS 'id of the actor';
COMMENT ON COLUMN actor.state.key IS 'key, chosen by the methods';
COMMENT ON COLUMN actor.state.value IS 'value, any JSON';
COMMENT ON COLUMN actor.state.updated_at IS 'when the key was last set';
COMMENT ON COLUMN actor.state.expires_at IS 'when the key stops existing; NULL: never';
COMMENT ON INDEX actor.state_expiry IS 'finds the keys that have expired';
SELECT pg_catalog.pg_extension_config_dump('actor.state', '');

/*
 * Not dumped, and emptied by a crash or a failover: that an actor is active
 * ends with the server.
 */
CREATE UNLOGGED TABLE actor.activation (
    actor_type      text COLLATE "C" NOT NULL,
    actor_id        text COLLATE "C" NOT NULL,
    server_start    timestamptz NOT NULL,
    activated_at    timestamptz NOT NULL,
    last_used_at    timestamptz NOT NULL,
    reentrancy_id   uuid,
    turn_expires_at timestamptz,
    PRIMARY KEY (actor_type, actor_id)
);
CREATE INDEX activation_idle ON actor.activation (server_start, actor_type, last_used_at);
CREATE INDEX activation_open ON actor.activation (actor_type, actor_id)
    WHERE reentrancy_id IS NOT NULL;
COMMENT ON TABLE actor.activation IS 'active actors';
COMMENT ON INDEX actor.activation_open IS 'finds the open turns';
COMMENT ON INDEX actor.activation_idle IS 'finds the actors of a type that have been idle for longest';
COMMENT ON COLUMN actor.activation.actor_type IS 'type of the actor';
COMMENT ON COLUMN actor.activation.actor_id IS 'id of the actor';
COMMENT ON COLUMN actor.activation.server_start IS 'start of the server the actor is active in; with another one it is not';
COMMENT ON COLUMN actor.activation.activated_at IS 'when the actor was activated';
COMMENT ON COLUMN actor.activation.last_used_at IS 'when the actor was last used, late by at most half of scan_interval';
COMMENT ON COLUMN actor.activation.reentrancy_id IS 'id of the chain that has opened the turn; NULL: none has';
COMMENT ON COLUMN actor.activation.turn_expires_at IS 'when the open turn ends by itself';

CREATE TABLE actor.reminder (
    actor_type     text COLLATE "C" NOT NULL,
    actor_id       text COLLATE "C" NOT NULL,
    name           text COLLATE "C" NOT NULL,
    method         text NOT NULL,
    data           jsonb,
    due_time       text,
    period         text,
    ttl            text,
    catch_up       text NOT NULL,
    failure_policy jsonb,
    role_name      name NOT NULL,
    generation     bigint NOT NULL,
    registered_at  timestamptz NOT NULL,
    first_at       timestamptz NOT NULL,
    step           interval,
    firings        integer NOT NULL,
    time_zone      text NOT NULL,
    expires_at     timestamptz,
    firing         bigint NOT NULL,
    scheduled_at   timestamptz NOT NULL,
    next_try_at    timestamptz NOT NULL,
    remaining      bigint,
    attempt        integer NOT NULL,
    deferrals      integer NOT NULL,
    last_error     text,
    retry_of       text,
    traceparent    text,
    fired          bigint NOT NULL,
    last_fired_at  timestamptz,
    last_ok_at     timestamptz,
    last_ms        double precision,
    hosted         boolean NOT NULL,
    settings       jsonb,
    PRIMARY KEY (actor_type, actor_id, name)
) WITH (fillfactor = 80);
CREATE INDEX reminder_due ON actor.reminder (role_name, next_try_at) WHERE NOT hosted;
CREATE INDEX reminder_hosted ON actor.reminder (actor_type, next_try_at) WHERE hosted;
COMMENT ON TABLE actor.reminder IS 'durable callbacks, one row a reminder';
COMMENT ON INDEX actor.reminder_due IS 'finds the due reminders of a role';
COMMENT ON INDEX actor.reminder_hosted IS 'finds the due reminders of a type that hosts run';
COMMENT ON COLUMN actor.reminder.actor_type IS 'type of the actor';
COMMENT ON COLUMN actor.reminder.actor_id IS 'id of the actor';
COMMENT ON COLUMN actor.reminder.name IS 'name of the reminder, unique for the actor';
COMMENT ON COLUMN actor.reminder.method IS 'method that is called';
COMMENT ON COLUMN actor.reminder.data IS 'payload of the method';
COMMENT ON COLUMN actor.reminder.due_time IS 'due time as given';
COMMENT ON COLUMN actor.reminder.period IS 'period as given';
COMMENT ON COLUMN actor.reminder.ttl IS 'time to live as given';
COMMENT ON COLUMN actor.reminder.catch_up IS 'what happens to missed firings: one, all or skip';
COMMENT ON COLUMN actor.reminder.failure_policy IS 'what happens when the method fails; NULL: three retries, one second apart';
COMMENT ON COLUMN actor.reminder.role_name IS 'role that registered the reminder and runs the method';
COMMENT ON COLUMN actor.reminder.generation IS 'random number of this registration';
COMMENT ON COLUMN actor.reminder.registered_at IS 'when the reminder was registered';
COMMENT ON COLUMN actor.reminder.first_at IS 'instant of the first firing, origin of the grid';
COMMENT ON COLUMN actor.reminder.step IS 'period as an interval; NULL: a cron expression, or one firing only';
COMMENT ON COLUMN actor.reminder.firings IS 'total number of firings; 0: no limit';
COMMENT ON COLUMN actor.reminder.time_zone IS 'time zone of calendar steps and cron expressions';
COMMENT ON COLUMN actor.reminder.expires_at IS 'firings scheduled at or after this do not happen; NULL: never';
COMMENT ON COLUMN actor.reminder.firing IS 'number of the pending firing, from 0';
COMMENT ON COLUMN actor.reminder.scheduled_at IS 'instant the pending firing is scheduled at';
COMMENT ON COLUMN actor.reminder.next_try_at IS 'when the pending firing is tried; infinity: never';
COMMENT ON COLUMN actor.reminder.remaining IS 'firings left, the pending one included; NULL: no limit';
COMMENT ON COLUMN actor.reminder.attempt IS 'number of the next attempt of the pending firing, from 1';
COMMENT ON COLUMN actor.reminder.deferrals IS 'how often in a row the pending firing was put off for a reason that does not count, such as a deadlock';
COMMENT ON COLUMN actor.reminder.last_error IS 'message of the last failed attempt';
COMMENT ON COLUMN actor.reminder.retry_of IS 'name of what has failed and is retried by actor_retry; NULL: not a retry';
COMMENT ON COLUMN actor.reminder.traceparent IS 'trace context that the method runs with; NULL: none';
COMMENT ON COLUMN actor.reminder.fired IS 'how often the method was called since the reminder was registered, failed attempts included';
COMMENT ON COLUMN actor.reminder.last_fired_at IS 'when the last of these calls began; NULL: there was none';
COMMENT ON COLUMN actor.reminder.last_ok_at IS 'when the last one that has not failed began; NULL: there was none';
COMMENT ON COLUMN actor.reminder.last_ms IS 'how long the last call took, in milliseconds';
COMMENT ON COLUMN actor.reminder.hosted IS 'whether a host runs it, because the method is one of an application';
COMMENT ON COLUMN actor.reminder.settings IS 'settings of the sender that the method runs with, by name; NULL: none';
SELECT pg_catalog.pg_extension_config_dump('actor.reminder', '');

CREATE TABLE actor.message (
    actor_type  text COLLATE "C" NOT NULL,
    actor_id    text COLLATE "C" NOT NULL,
    message_id  bigint GENERATED ALWAYS AS IDENTITY,
    method      text NOT NULL,
    payload     jsonb,
    due_at      timestamptz NOT NULL,
    next_try_at timestamptz NOT NULL,
    queued      boolean NOT NULL,
    attempt     integer NOT NULL,
    deferrals   integer NOT NULL,
    role_name   name NOT NULL,
    sent_at     timestamptz NOT NULL,
    last_error  text,
    traceparent text,
    failure_policy jsonb,
    hosted         boolean NOT NULL,
    request_id  text COLLATE "C",
    settings    jsonb,
    PRIMARY KEY (actor_type, actor_id, message_id)
);
CREATE INDEX message_due ON actor.message (role_name, next_try_at, message_id) WHERE NOT hosted;
CREATE INDEX message_hosted ON actor.message (actor_type, next_try_at, message_id) WHERE hosted;
CREATE INDEX message_queue ON actor.message (actor_type, actor_id, message_id) WHERE queued;
CREATE INDEX message_delayed ON actor.message (actor_type, actor_id, next_try_at) WHERE NOT queued;
COMMENT ON TABLE actor.message IS 'durable one-way messages that wait for delivery';
COMMENT ON INDEX actor.message_due IS 'finds the due messages of a role';
COMMENT ON INDEX actor.message_hosted IS 'finds the due messages of a type that hosts run';
COMMENT ON INDEX actor.message_queue IS 'the queue of an actor';
COMMENT ON INDEX actor.message_delayed IS 'finds messages that are to join the queue of their actor';
COMMENT ON COLUMN actor.message.actor_type IS 'type of the actor';
COMMENT ON COLUMN actor.message.actor_id IS 'id of the actor';
COMMENT ON COLUMN actor.message.message_id IS 'number of the message, place in the queue';
COMMENT ON COLUMN actor.message.method IS 'method that is called';
COMMENT ON COLUMN actor.message.payload IS 'payload of the method';
COMMENT ON COLUMN actor.message.due_at IS 'when the message is due';
COMMENT ON COLUMN actor.message.next_try_at IS 'when the message is tried; infinity: others of the queue are before it';
COMMENT ON COLUMN actor.message.queued IS 'whether the message is in the queue of its actor; it is not before it is due, or while others pass it';
COMMENT ON COLUMN actor.message.attempt IS 'number of the next attempt, from 1';
COMMENT ON COLUMN actor.message.deferrals IS 'how often in a row the message was put off for a reason that does not count, such as a deadlock';
COMMENT ON COLUMN actor.message.role_name IS 'role that sent the message and runs the method';
COMMENT ON COLUMN actor.message.sent_at IS 'when the message was sent';
COMMENT ON COLUMN actor.message.last_error IS 'message of the last failed attempt';
COMMENT ON COLUMN actor.message.traceparent IS 'trace context that the method runs with; NULL: none';
COMMENT ON COLUMN actor.message.request_id IS 'request id that its result is kept under; NULL: none';
COMMENT ON COLUMN actor.message.failure_policy IS 'what happens when the method fails; NULL: nine retries, and the queue waits';
COMMENT ON COLUMN actor.message.hosted IS 'whether a host runs it, because the method is one of an application';
COMMENT ON COLUMN actor.message.settings IS 'settings of the sender that the method runs with, by name; NULL: none';
SELECT pg_catalog.pg_extension_config_dump('actor.message', '');
SELECT pg_catalog.pg_extension_config_dump('actor.message_message_id_seq', '');

CREATE TABLE actor.outbox (
    actor_type    text COLLATE "C" NOT NULL,
    actor_id      text COLLATE "C" NOT NULL,
    message_id    bigint NOT NULL,
    receiver_type text COLLATE "C" NOT NULL,
    receiver_id   text COLLATE "C" NOT NULL,
    method        text NOT NULL,
    payload       jsonb,
    due_at        timestamptz NOT NULL,
    role_name     name NOT NULL,
    sent_at       timestamptz NOT NULL,
    traceparent   text,
    failure_policy jsonb,
    settings      jsonb,
    PRIMARY KEY (actor_type, actor_id, message_id)
);
CREATE INDEX outbox_order ON actor.outbox (message_id);
COMMENT ON TABLE actor.outbox IS 'messages of actors that are still with their sender, because the receiver is on another server';
COMMENT ON INDEX actor.outbox_order IS 'finds the messages that were sent first';
COMMENT ON COLUMN actor.outbox.actor_type IS 'type of the sender';
COMMENT ON COLUMN actor.outbox.actor_id IS 'id of the sender';
COMMENT ON COLUMN actor.outbox.message_id IS 'number of the message';
COMMENT ON COLUMN actor.outbox.receiver_type IS 'type of the receiver';
COMMENT ON COLUMN actor.outbox.receiver_id IS 'id of the receiver';
COMMENT ON COLUMN actor.outbox.method IS 'method that is called';
COMMENT ON COLUMN actor.outbox.payload IS 'payload of the method';
COMMENT ON COLUMN actor.outbox.due_at IS 'when the message is due';
COMMENT ON COLUMN actor.outbox.role_name IS 'role that sent the message and runs the method';
COMMENT ON COLUMN actor.outbox.sent_at IS 'when the message was sent';
COMMENT ON COLUMN actor.outbox.traceparent IS 'trace context that the method runs with; NULL: none';
COMMENT ON COLUMN actor.outbox.failure_policy IS 'what happens when the method fails; NULL: nine retries, and the queue waits';
COMMENT ON COLUMN actor.outbox.settings IS 'settings of the sender that the method runs with, by name; NULL: none';
SELECT pg_catalog.pg_extension_config_dump('actor.outbox', '');

CREATE TABLE actor.forwarded (
    actor_type   text COLLATE "C" NOT NULL,
    actor_id     text COLLATE "C" NOT NULL,
    message_id   bigint NOT NULL,
    forwarded_at timestamptz NOT NULL,
    PRIMARY KEY (actor_type, actor_id, message_id)
);
CREATE INDEX forwarded_at ON actor.forwarded (forwarded_at);
COMMENT ON TABLE actor.forwarded IS 'messages that have come from actor.outbox, or were cancelled there, and come no second time';
COMMENT ON INDEX actor.forwarded_at IS 'finds those that are kept no longer';
COMMENT ON COLUMN actor.forwarded.actor_type IS 'type of the receiver';
COMMENT ON COLUMN actor.forwarded.actor_id IS 'id of the receiver';
COMMENT ON COLUMN actor.forwarded.message_id IS 'number of the message';
COMMENT ON COLUMN actor.forwarded.forwarded_at IS 'when the message has come, or was cancelled';
SELECT pg_catalog.pg_extension_config_dump('actor.forwarded', '');

CREATE TABLE actor.request (
    actor_type   text COLLATE "C" NOT NULL,
    actor_id     text COLLATE "C" NOT NULL,
    request_id   text COLLATE "C" NOT NULL,
    method       text NOT NULL,
    payload_hash bytea NOT NULL,
    role_name    name NOT NULL,
    result       jsonb,
    message_id   bigint,
    created_at   timestamptz NOT NULL,
    status       integer,
    content_type text,
    headers      jsonb,
    body         bytea,
    state        text NOT NULL,
    error        jsonb,
    finished_at  timestamptz,
    PRIMARY KEY (actor_type, actor_id, request_id)
);
CREATE INDEX request_finished ON actor.request (finished_at);
COMMENT ON TABLE actor.request IS 'calls and messages with a request id';
COMMENT ON INDEX actor.request_finished IS 'finds the requests that are kept no longer';
COMMENT ON COLUMN actor.request.actor_type IS 'type of the actor';
COMMENT ON COLUMN actor.request.actor_id IS 'id of the actor';
COMMENT ON COLUMN actor.request.request_id IS 'id that the caller chose, unique for the actor';
COMMENT ON COLUMN actor.request.method IS 'method that was called, or that the message calls';
COMMENT ON COLUMN actor.request.payload_hash IS 'SHA-256 of the payload';
COMMENT ON COLUMN actor.request.role_name IS 'role that called or sent';
COMMENT ON COLUMN actor.request.result IS 'what the method returned, also that of the message';
COMMENT ON COLUMN actor.request.message_id IS 'message that was sent; NULL: it was a call';
COMMENT ON COLUMN actor.request.created_at IS 'when the method returned, or the message was sent';
COMMENT ON COLUMN actor.request.status IS 'status with which an application has answered; NULL: it was no call of an application';
COMMENT ON COLUMN actor.request.content_type IS 'content type of its answer';
COMMENT ON COLUMN actor.request.headers IS 'headers of its answer';
COMMENT ON COLUMN actor.request.body IS 'its answer';
COMMENT ON COLUMN actor.request.state IS 'pending, done, failed or cancelled; only a message can be other than done';
COMMENT ON COLUMN actor.request.error IS 'error with which the message was given up: sqlstate, message and detail';
COMMENT ON COLUMN actor.request.finished_at IS 'when the method returned, or the message was delivered, given up or cancelled; NULL: it waits';
SELECT pg_catalog.pg_extension_config_dump('actor.request', '');

CREATE TABLE actor.promise (
    actor_type  text COLLATE "C" NOT NULL,
    actor_id    text COLLATE "C" NOT NULL,
    token       uuid NOT NULL,
    method      text NOT NULL,
    data        jsonb,
    role_name   name NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz,
    traceparent text,
    settings    jsonb,
    PRIMARY KEY (actor_type, actor_id, token)
);
CREATE INDEX promise_token ON actor.promise (token);
CREATE INDEX promise_expiry ON actor.promise (actor_type, expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE actor.promise IS 'promises that have not been resolved';
COMMENT ON INDEX actor.promise_token IS 'finds a promise by its token';
COMMENT ON INDEX actor.promise_expiry IS 'finds the promises of a type that have expired';
COMMENT ON COLUMN actor.promise.actor_type IS 'type of the actor that made it';
COMMENT ON COLUMN actor.promise.actor_id IS 'id of the actor that made it';
COMMENT ON COLUMN actor.promise.token IS 'what one must have to resolve it';
COMMENT ON COLUMN actor.promise.method IS 'method that the message calls';
COMMENT ON COLUMN actor.promise.data IS 'what the message brings back to the actor; NULL: nothing';
COMMENT ON COLUMN actor.promise.role_name IS 'role that made it, and runs the method';
COMMENT ON COLUMN actor.promise.created_at IS 'when it was made';
COMMENT ON COLUMN actor.promise.expires_at IS 'when it expires; NULL: never';
COMMENT ON COLUMN actor.promise.traceparent IS 'trace context that the method runs with; NULL: none';
COMMENT ON COLUMN actor.promise.settings IS 'settings of the maker that the method runs with, by name; NULL: none';
SELECT pg_catalog.pg_extension_config_dump('actor.promise', '');

CREATE TABLE actor.each (
    actor_type  text COLLATE "C" NOT NULL,
    each_id     uuid NOT NULL,
    method      text NOT NULL,
    payload     jsonb,
    batch       integer NOT NULL,
    role_name   name NOT NULL,
    started_at  timestamptz NOT NULL,
    traceparent text,
    settings    jsonb,
    sent        bigint NOT NULL,
    last_id     text COLLATE "C",
    moved_at    timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (actor_type, each_id)
);
CREATE INDEX each_unfinished ON actor.each (each_id) WHERE finished_at IS NULL;
COMMENT ON TABLE actor.each IS 'messages to each actor of a type, and how far they are sent';
COMMENT ON INDEX actor.each_unfinished IS 'finds those that are not finished';
COMMENT ON COLUMN actor.each.actor_type IS 'type of the actors';
COMMENT ON COLUMN actor.each.each_id IS 'what actor_each has returned';
COMMENT ON COLUMN actor.each.method IS 'method that the messages call';
COMMENT ON COLUMN actor.each.payload IS 'their payload; NULL: none';
COMMENT ON COLUMN actor.each.batch IS 'how many may wait to be delivered before there are more';
COMMENT ON COLUMN actor.each.role_name IS 'role that sends them, and runs the method';
COMMENT ON COLUMN actor.each.started_at IS 'when actor_each was called';
COMMENT ON COLUMN actor.each.traceparent IS 'trace context that the method runs with; NULL: none';
COMMENT ON COLUMN actor.each.settings IS 'settings of the sender that the method runs with, by name; NULL: none';
COMMENT ON COLUMN actor.each.sent IS 'how many messages were sent';
COMMENT ON COLUMN actor.each.last_id IS 'actor to which the last one was sent; NULL: there was none yet';
COMMENT ON COLUMN actor.each.moved_at IS 'when messages were sent last; NULL: none was yet';
COMMENT ON COLUMN actor.each.finished_at IS 'when the last one was sent; NULL: there are more to come';
SELECT pg_catalog.pg_extension_config_dump('actor.each', '');

/*
 * Timers end with the activation of their actor, so this is not dumped either.
 */
CREATE UNLOGGED TABLE actor.timer (
    actor_type     text COLLATE "C" NOT NULL,
    actor_id       text COLLATE "C" NOT NULL,
    name           text COLLATE "C" NOT NULL,
    method         text NOT NULL,
    data           jsonb,
    due_time       text,
    period         text,
    ttl            text,
    role_name      name NOT NULL,
    generation     bigint NOT NULL,
    registered_at  timestamptz NOT NULL,
    first_at       timestamptz NOT NULL,
    step           interval,
    firings        integer NOT NULL,
    time_zone      text NOT NULL,
    expires_at     timestamptz,
    firing         bigint NOT NULL,
    scheduled_at   timestamptz NOT NULL,
    next_try_at    timestamptz NOT NULL,
    remaining      bigint,
    attempt        integer NOT NULL,
    deferrals      integer NOT NULL,
    last_error     text,
    traceparent    text,
    hosted         boolean NOT NULL,
    settings       jsonb,
    PRIMARY KEY (actor_type, actor_id, name)
) WITH (fillfactor = 80);
CREATE INDEX timer_due ON actor.timer (role_name, next_try_at) WHERE NOT hosted;
CREATE INDEX timer_hosted ON actor.timer (actor_type, next_try_at) WHERE hosted;
COMMENT ON TABLE actor.timer IS 'callbacks of active actors, one row a timer';
COMMENT ON INDEX actor.timer_due IS 'finds the due timers of a role';
COMMENT ON INDEX actor.timer_hosted IS 'finds the due timers of a type that hosts run';
COMMENT ON COLUMN actor.timer.actor_type IS 'type of the actor';
COMMENT ON COLUMN actor.timer.actor_id IS 'id of the actor';
COMMENT ON COLUMN actor.timer.name IS 'name of the timer, unique for the actor';
COMMENT ON COLUMN actor.timer.method IS 'method that is called';
COMMENT ON COLUMN actor.timer.data IS 'payload of the method';
COMMENT ON COLUMN actor.timer.due_time IS 'due time as given';
COMMENT ON COLUMN actor.timer.period IS 'period as given';
COMMENT ON COLUMN actor.timer.ttl IS 'time to live as given';
COMMENT ON COLUMN actor.timer.role_name IS 'role that registered the timer and runs the method';
COMMENT ON COLUMN actor.timer.generation IS 'random number of this registration';
COMMENT ON COLUMN actor.timer.registered_at IS 'when the timer was registered';
COMMENT ON COLUMN actor.timer.first_at IS 'instant of the first firing, origin of the grid';
COMMENT ON COLUMN actor.timer.step IS 'period as an interval; NULL: a cron expression, or one firing only';
COMMENT ON COLUMN actor.timer.firings IS 'total number of firings; 0: no limit';
COMMENT ON COLUMN actor.timer.time_zone IS 'time zone of calendar steps and cron expressions';
COMMENT ON COLUMN actor.timer.expires_at IS 'firings scheduled at or after this do not happen; NULL: never';
COMMENT ON COLUMN actor.timer.firing IS 'number of the pending firing, from 0';
COMMENT ON COLUMN actor.timer.scheduled_at IS 'instant the pending firing is scheduled at';
COMMENT ON COLUMN actor.timer.next_try_at IS 'when the pending firing is tried; infinity: never';
COMMENT ON COLUMN actor.timer.remaining IS 'firings left, the pending one included; NULL: no limit';
COMMENT ON COLUMN actor.timer.attempt IS 'number of the next attempt of the pending firing, from 1';
COMMENT ON COLUMN actor.timer.deferrals IS 'how often in a row the pending firing was put off for a reason that does not count, such as a deadlock';
COMMENT ON COLUMN actor.timer.last_error IS 'message of the last failed attempt';
COMMENT ON COLUMN actor.timer.traceparent IS 'trace context that the method runs with; NULL: none';
COMMENT ON COLUMN actor.timer.hosted IS 'whether a host runs it, because the method is one of an application';
COMMENT ON COLUMN actor.timer.settings IS 'settings of the sender that the method runs with, by name; NULL: none';

CREATE TABLE actor.pause (
    actor_type text COLLATE "C" NOT NULL,
    actor_id   text COLLATE "C" NOT NULL,
    paused_at  timestamptz NOT NULL,
    role_name  name NOT NULL,
    PRIMARY KEY (actor_type, actor_id)
);
COMMENT ON TABLE actor.pause IS 'paused actors and types';
COMMENT ON COLUMN actor.pause.actor_type IS 'type of the actor';
COMMENT ON COLUMN actor.pause.actor_id IS 'id of the actor; empty: all actors of the type';
COMMENT ON COLUMN actor.pause.paused_at IS 'when it was paused';
COMMENT ON COLUMN actor.pause.role_name IS 'role that paused it';
SELECT pg_catalog.pg_extension_config_dump('actor.pause', '');

CREATE TABLE actor.failure (
    failure_id   bigint GENERATED ALWAYS AS IDENTITY,
    actor_type   text COLLATE "C" NOT NULL,
    actor_id     text COLLATE "C" NOT NULL,
    kind         text NOT NULL,
    name         text COLLATE "C" NOT NULL,
    method       text NOT NULL,
    payload      jsonb,
    scheduled_at timestamptz NOT NULL,
    failed_at    timestamptz NOT NULL,
    attempts     integer NOT NULL,
    sqlstate     text NOT NULL,
    message      text NOT NULL,
    detail       text,
    context      text,
    role_name    name NOT NULL,
    traceparent  text,
    settings     jsonb,
    PRIMARY KEY (actor_type, actor_id, failure_id)
);
CREATE INDEX failure_number ON actor.failure (failure_id);
-- those that are too many for a type
CREATE INDEX failure_type ON actor.failure (actor_type, failure_id);
COMMENT ON INDEX actor.failure_number IS 'finds a failure by its number';
CREATE INDEX failure_failed ON actor.failure (failed_at);
COMMENT ON INDEX actor.failure_failed IS 'finds the failures that are kept no longer';
COMMENT ON TABLE actor.failure IS 'firings and messages given up after their last retry, and hooks that failed';
COMMENT ON COLUMN actor.failure.failure_id IS 'number of the failure';
COMMENT ON COLUMN actor.failure.actor_type IS 'type of the actor';
COMMENT ON COLUMN actor.failure.actor_id IS 'id of the actor';
COMMENT ON COLUMN actor.failure.kind IS 'what failed: reminder, timer, message or deactivate';
COMMENT ON COLUMN actor.failure.name IS 'name of the reminder or timer, id of the message, or name of the hook';
COMMENT ON COLUMN actor.failure.method IS 'method that was called';
COMMENT ON COLUMN actor.failure.payload IS 'its payload';
COMMENT ON COLUMN actor.failure.scheduled_at IS 'instant the firing was scheduled at';
COMMENT ON COLUMN actor.failure.failed_at IS 'when the last attempt failed';
COMMENT ON COLUMN actor.failure.attempts IS 'number of attempts';
COMMENT ON COLUMN actor.failure.sqlstate IS 'SQLSTATE of the last error';
COMMENT ON COLUMN actor.failure.message IS 'message of the last error';
COMMENT ON COLUMN actor.failure.detail IS 'detail of the last error';
COMMENT ON COLUMN actor.failure.context IS 'context of the last error';
COMMENT ON COLUMN actor.failure.role_name IS 'role that ran the method';
COMMENT ON COLUMN actor.failure.traceparent IS 'trace context that the method ran with; NULL: none';
COMMENT ON COLUMN actor.failure.settings IS 'settings of the sender that the method ran with, by name; NULL: none';
SELECT pg_catalog.pg_extension_config_dump('actor.failure', '');
SELECT pg_catalog.pg_extension_config_dump('actor.failure_failure_id_seq', '');

/*
 * Hosts of applications, and where their actors are.  Neither is dumped: they are
 * about processes around this server.  A placement outlives a crash, since the
 * application may still have the actor in its memory.
 */
CREATE TABLE actor.host (
    host_id     uuid PRIMARY KEY,
    app_id      text NOT NULL,
    app_address text NOT NULL,
    address     text NOT NULL,
    role_name   name NOT NULL,
    actor_types text[] NOT NULL,
    reachable   boolean NOT NULL,
    since       timestamptz NOT NULL,
    gone_at     timestamptz
);
COMMENT ON TABLE actor.host IS 'hosts of applications that have joined, also those that are gone and may have left actors behind';
COMMENT ON COLUMN actor.host.host_id IS 'id that the host has chosen, each time it has joined';
COMMENT ON COLUMN actor.host.app_id IS 'id of the application';
COMMENT ON COLUMN actor.host.app_address IS 'where the host finds the application';
COMMENT ON COLUMN actor.host.address IS 'where other hosts find the host';
COMMENT ON COLUMN actor.host.role_name IS 'role that has joined';
COMMENT ON COLUMN actor.host.actor_types IS 'types that the application has';
COMMENT ON COLUMN actor.host.reachable IS 'whether the application answers';
COMMENT ON COLUMN actor.host.since IS 'when the host has joined';
COMMENT ON COLUMN actor.host.gone_at IS 'when it was found to be gone; NULL: it was not';

CREATE TABLE actor.placement (
    actor_type text COLLATE "C" NOT NULL,
    actor_id   text COLLATE "C" NOT NULL,
    host_id    uuid NOT NULL,
    token      uuid NOT NULL,
    entered    boolean NOT NULL,
    placed_at  timestamptz NOT NULL,
    PRIMARY KEY (actor_type, actor_id)
) WITH (fillfactor = 80);
CREATE INDEX placement_host ON actor.placement (host_id);
CREATE INDEX placement_entered ON actor.placement (host_id, placed_at) WHERE NOT entered;
COMMENT ON TABLE actor.placement IS 'actors that a host has, or had when it was gone';
COMMENT ON INDEX actor.placement_host IS 'finds the actors of a host';
COMMENT ON INDEX actor.placement_entered IS 'finds the actors of a host whose life there has not begun, or is over';
COMMENT ON COLUMN actor.placement.actor_type IS 'type of the actor';
COMMENT ON COLUMN actor.placement.actor_id IS 'id of the actor';
COMMENT ON COLUMN actor.placement.host_id IS 'host whose application has the actor';
COMMENT ON COLUMN actor.placement.token IS 'what the application may have in its memory is true as long as this is the same';
COMMENT ON COLUMN actor.placement.entered IS 'whether the host has had a turn of the actor since that was placed there or deactivated';
COMMENT ON COLUMN actor.placement.placed_at IS 'when the actor was placed there; -infinity if it was deactivated since';

CREATE TABLE actor.leftover (
    actor_type text COLLATE "C" NOT NULL,
    actor_id   text COLLATE "C" NOT NULL,
    host_id    uuid NOT NULL,
    PRIMARY KEY (actor_type, actor_id, host_id)
);
CREATE INDEX leftover_host ON actor.leftover (host_id);
COMMENT ON TABLE actor.leftover IS 'actors that the application of a host that is gone may still have in its memory, and that are placed elsewhere';
COMMENT ON INDEX actor.leftover_host IS 'finds what a host has left';
COMMENT ON COLUMN actor.leftover.actor_type IS 'type of the actor';
COMMENT ON COLUMN actor.leftover.actor_id IS 'id of the actor';
COMMENT ON COLUMN actor.leftover.host_id IS 'host that is gone';

/*
 * What has run, and what it has changed, of types that want that to be kept.
 */
CREATE TABLE actor.history (
    actor_type  text COLLATE "C" NOT NULL,
    actor_id    text COLLATE "C" NOT NULL,
    history_id  bigint GENERATED ALWAYS AS IDENTITY,
    kind        text NOT NULL,
    name        text COLLATE "C",
    method      text,
    attempt     integer,
    ran_as      name NOT NULL,
    started_at  timestamptz NOT NULL,
    duration_ms double precision NOT NULL,
    sqlstate    text,
    message     text,
    traceparent text,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (actor_type, actor_id, history_id)
);
CREATE INDEX history_expiry ON actor.history (expires_at);
COMMENT ON TABLE actor.history IS 'what has run in turns of actors, for types with a history';
COMMENT ON INDEX actor.history_expiry IS 'finds what is kept no longer';
COMMENT ON COLUMN actor.history.actor_type IS 'type of the actor';
COMMENT ON COLUMN actor.history.actor_id IS 'id of the actor';
COMMENT ON COLUMN actor.history.history_id IS 'number of the entry';
COMMENT ON COLUMN actor.history.kind IS 'what made it run: call, reminder, timer, message, activate or deactivate; or transact or delete, where no method runs';
COMMENT ON COLUMN actor.history.name IS 'name of the reminder or timer, or id of the message';
COMMENT ON COLUMN actor.history.method IS 'method or hook; NULL: none runs';
COMMENT ON COLUMN actor.history.attempt IS 'number of the attempt, from 1; NULL: not a reminder, timer or message';
COMMENT ON COLUMN actor.history.ran_as IS 'name that the role had then that it ran as';
COMMENT ON COLUMN actor.history.started_at IS 'when it began';
COMMENT ON COLUMN actor.history.duration_ms IS 'how long it took, in milliseconds';
COMMENT ON COLUMN actor.history.sqlstate IS 'SQLSTATE of the error that it has ended with; NULL: none';
COMMENT ON COLUMN actor.history.message IS 'message of that error';
COMMENT ON COLUMN actor.history.traceparent IS 'trace context that it ran with; NULL: none';
COMMENT ON COLUMN actor.history.expires_at IS 'until when the entry is kept, with its changes';
SELECT pg_catalog.pg_extension_config_dump('actor.history', '');
SELECT pg_catalog.pg_extension_config_dump('actor.history_history_id_seq', '');

CREATE TABLE actor.history_change (
    actor_type     text COLLATE "C" NOT NULL,
    actor_id       text COLLATE "C" NOT NULL,
    history_id     bigint NOT NULL,
    change_id      bigint GENERATED ALWAYS AS IDENTITY,
    turn           bigint NOT NULL,
    key            text COLLATE "C" NOT NULL,
    old_value      jsonb,
    old_expires_at timestamptz,
    new_value      jsonb,
    new_expires_at timestamptz,
    changed_at     timestamptz NOT NULL,
    PRIMARY KEY (actor_type, actor_id, history_id, change_id)
);
COMMENT ON TABLE actor.history_change IS 'what the entries of actor.history have changed, for types that keep changes';
COMMENT ON COLUMN actor.history_change.actor_type IS 'type of the actor';
COMMENT ON COLUMN actor.history_change.actor_id IS 'id of the actor';
COMMENT ON COLUMN actor.history_change.history_id IS 'entry that has made the change';
COMMENT ON COLUMN actor.history_change.change_id IS 'number of the change; those of an actor have happened in this order';
COMMENT ON COLUMN actor.history_change.turn IS 'number that the changes of one transaction have in common';
COMMENT ON COLUMN actor.history_change.key IS 'key of the state';
COMMENT ON COLUMN actor.history_change.old_value IS 'value before; NULL: it was absent';
COMMENT ON COLUMN actor.history_change.old_expires_at IS 'when that would have expired; NULL: never';
COMMENT ON COLUMN actor.history_change.new_value IS 'value after; NULL: it was removed';
COMMENT ON COLUMN actor.history_change.new_expires_at IS 'when that expires; NULL: never';
COMMENT ON COLUMN actor.history_change.changed_at IS 'when the key was set or removed';
SELECT pg_catalog.pg_extension_config_dump('actor.history_change', '');
SELECT pg_catalog.pg_extension_config_dump('actor.history_change_change_id_seq', '');

/*
 * Topics and who has subscribed to them.  A topic belongs to an actor, or to a
 * type: then the id is empty.
 */
CREATE TABLE actor.topic (
    actor_type text COLLATE "C" NOT NULL,
    topic      text COLLATE "C" NOT NULL,
    retention  interval NOT NULL,
    PRIMARY KEY (actor_type, topic)
);
COMMENT ON TABLE actor.topic IS 'topics of types, and of their actors, whose events are kept';
COMMENT ON COLUMN actor.topic.actor_type IS 'type of the actors that publish';
COMMENT ON COLUMN actor.topic.topic IS 'name of the topic';
COMMENT ON COLUMN actor.topic.retention IS 'for how long its events are kept';
SELECT pg_catalog.pg_extension_config_dump('actor.topic', '');

CREATE TABLE actor.stream (
    actor_type text COLLATE "C" NOT NULL,
    actor_id   text COLLATE "C" NOT NULL,
    topic      text COLLATE "C" NOT NULL,
    last_event bigint NOT NULL,
    PRIMARY KEY (actor_type, actor_id, topic)
) WITH (fillfactor = 80);
COMMENT ON TABLE actor.stream IS 'topics that have had events that were kept; a row stays, so that no number is used twice';
COMMENT ON COLUMN actor.stream.actor_type IS 'type of the actor that the topic belongs to';
COMMENT ON COLUMN actor.stream.actor_id IS 'id of the actor; empty: the topic belongs to the type';
COMMENT ON COLUMN actor.stream.topic IS 'name of the topic';
COMMENT ON COLUMN actor.stream.last_event IS 'number of the last event';
SELECT pg_catalog.pg_extension_config_dump('actor.stream', '');

CREATE TABLE actor.event (
    actor_type   text COLLATE "C" NOT NULL,
    actor_id     text COLLATE "C" NOT NULL,
    topic        text COLLATE "C" NOT NULL,
    event_id     bigint NOT NULL,
    payload      jsonb,
    published_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (actor_type, actor_id, topic, event_id)
);
CREATE INDEX event_expiry ON actor.event (expires_at);
COMMENT ON TABLE actor.event IS 'events that are kept';
COMMENT ON INDEX actor.event_expiry IS 'finds what is kept no longer';
COMMENT ON COLUMN actor.event.actor_type IS 'type of the actor that the topic belongs to';
COMMENT ON COLUMN actor.event.actor_id IS 'id of the actor; empty: the topic belongs to the type';
COMMENT ON COLUMN actor.event.topic IS 'name of the topic';
COMMENT ON COLUMN actor.event.event_id IS 'number of the event; those of a topic have no gaps, and are committed in this order';
COMMENT ON COLUMN actor.event.payload IS 'what was published';
COMMENT ON COLUMN actor.event.published_at IS 'when it was published';
COMMENT ON COLUMN actor.event.expires_at IS 'until when it is kept';
SELECT pg_catalog.pg_extension_config_dump('actor.event', '');

CREATE TABLE actor.subscription (
    actor_type      text COLLATE "C" NOT NULL,
    actor_id        text COLLATE "C" NOT NULL,
    topic_type      text COLLATE "C" NOT NULL,
    topic_id        text COLLATE "C" NOT NULL,
    topic           text COLLATE "C" NOT NULL,
    subscription_id bigint GENERATED ALWAYS AS IDENTITY,
    method          text NOT NULL,
    failure_policy  jsonb,
    role_name       name NOT NULL,
    subscribed_at   timestamptz NOT NULL,
    PRIMARY KEY (actor_type, actor_id, topic_type, topic_id, topic)
);
CREATE INDEX subscription_topic ON actor.subscription (topic_type, topic_id, topic, subscription_id);
COMMENT ON TABLE actor.subscription IS 'actors that get the events of topics';
COMMENT ON INDEX actor.subscription_topic IS 'finds the subscribers of a topic, in the order of their subscriptions';
COMMENT ON COLUMN actor.subscription.actor_type IS 'type of the subscriber';
COMMENT ON COLUMN actor.subscription.actor_id IS 'id of the subscriber';
COMMENT ON COLUMN actor.subscription.topic_type IS 'type of the actor that the topic belongs to';
COMMENT ON COLUMN actor.subscription.topic_id IS 'id of that actor; empty: the topic belongs to the type';
COMMENT ON COLUMN actor.subscription.topic IS 'name of the topic';
COMMENT ON COLUMN actor.subscription.subscription_id IS 'number of the subscription; an event with a higher one was published later';
COMMENT ON COLUMN actor.subscription.method IS 'method that is called with an event';
COMMENT ON COLUMN actor.subscription.failure_policy IS 'what happens when the method fails; NULL: nine retries, and the queue waits';
COMMENT ON COLUMN actor.subscription.role_name IS 'role that has subscribed and runs the method';
COMMENT ON COLUMN actor.subscription.subscribed_at IS 'when it has subscribed';
SELECT pg_catalog.pg_extension_config_dump('actor.subscription', '');
SELECT pg_catalog.pg_extension_config_dump('actor.subscription_subscription_id_seq', '');

CREATE TABLE actor.fan_out (
    actor_type   text COLLATE "C" NOT NULL,
    actor_id     text COLLATE "C" NOT NULL,
    topic        text COLLATE "C" NOT NULL,
    fan_out_id   bigint NOT NULL,
    payload      jsonb,
    published_at timestamptz NOT NULL,
    done_to      bigint NOT NULL,
    traceparent  text,
    settings     jsonb,
    PRIMARY KEY (actor_type, actor_id, topic, fan_out_id)
) WITH (fillfactor = 80);
COMMENT ON TABLE actor.fan_out IS 'events that the workers hand out to subscribers, because there are many';
COMMENT ON COLUMN actor.fan_out.actor_type IS 'type of the actor that the topic belongs to';
COMMENT ON COLUMN actor.fan_out.actor_id IS 'id of the actor; empty: the topic belongs to the type';
COMMENT ON COLUMN actor.fan_out.topic IS 'name of the topic';
COMMENT ON COLUMN actor.fan_out.fan_out_id IS 'number of the event among subscriptions: it is for those with lower ones';
COMMENT ON COLUMN actor.fan_out.payload IS 'what was published';
COMMENT ON COLUMN actor.fan_out.published_at IS 'when it was published';
COMMENT ON COLUMN actor.fan_out.done_to IS 'number of the last subscription that has got it; 0: none has';
COMMENT ON COLUMN actor.fan_out.traceparent IS 'trace context that the methods run with; NULL: none';
COMMENT ON COLUMN actor.fan_out.settings IS 'settings of the publisher that the methods run with, by name; NULL: none';
SELECT pg_catalog.pg_extension_config_dump('actor.fan_out', '');

/*
 * Who sees what: the owner of a type sees the rows of its actors, a role sees
 * the reminders, timers, messages and failures of its own, nobody else sees any.
 * The policies ask functions, since nothing else can be asked in every dump and
 * for every table; whoever may write all tables has no policy to do so.
 */

CREATE FUNCTION actor.owns_type(actor_type text)
RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'actor_owns_type';
COMMENT ON FUNCTION actor.owns_type(text)
    IS 'whether the current role has the rights of the owner of a type; for policies';

CREATE FUNCTION actor.holds_role(role_name name)
RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'actor_holds_role';
COMMENT ON FUNCTION actor.holds_role(name)
    IS 'whether the current role has the rights of the one that a role_name stands for; for policies';

CREATE VIEW actor.owned_type WITH (security_barrier) AS
    SELECT t.actor_type
      FROM actor.type t
     WHERE actor.owns_type(t.actor_type);
COMMENT ON VIEW actor.owned_type IS 'actor types owned by the current role';
COMMENT ON COLUMN actor.owned_type.actor_type IS 'name of the type';

CREATE VIEW actor.owned_role WITH (security_barrier) AS
    SELECT r.rolname AS role_name
      FROM pg_catalog.pg_roles r
     WHERE pg_catalog.pg_has_role(r.oid, 'USAGE')
       AND actor.holds_role(r.rolname);
COMMENT ON VIEW actor.owned_role IS 'roles whose rights the current role has';
COMMENT ON COLUMN actor.owned_role.role_name IS 'name of the role';

ALTER TABLE actor.type ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON actor.type FOR SELECT USING (true);

ALTER TABLE actor.role ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.role FOR SELECT
    USING (actor.holds_role(role_name)
           OR pg_catalog.pg_has_role('pg_monitor', 'USAGE'));

ALTER TABLE actor.state ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.state FOR SELECT
    USING (actor.owns_type(actor_type));

ALTER TABLE actor.activation ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.activation FOR SELECT
    USING (actor.owns_type(actor_type));

ALTER TABLE actor.reminder ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.reminder FOR SELECT
    USING (actor.owns_type(actor_type) OR actor.holds_role(role_name));

ALTER TABLE actor.message ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.message FOR SELECT
    USING (actor.owns_type(actor_type) OR actor.holds_role(role_name));

ALTER TABLE actor.outbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.outbox FOR SELECT
    USING (actor.owns_type(receiver_type) OR actor.holds_role(role_name));

ALTER TABLE actor.forwarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.forwarded FOR SELECT
    USING (actor.owns_type(actor_type));

ALTER TABLE actor.request ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.request FOR SELECT
    USING (actor.owns_type(actor_type) OR actor.holds_role(role_name));

ALTER TABLE actor.promise ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.promise FOR SELECT
    USING (actor.owns_type(actor_type) OR actor.holds_role(role_name));

ALTER TABLE actor.each ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.each FOR SELECT
    USING (actor.owns_type(actor_type) OR actor.holds_role(role_name));

ALTER TABLE actor.timer ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.timer FOR SELECT
    USING (actor.owns_type(actor_type) OR actor.holds_role(role_name));

ALTER TABLE actor.pause ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.pause FOR SELECT
    USING (actor.owns_type(actor_type)
           OR pg_catalog.pg_has_role('pg_monitor', 'USAGE'));

ALTER TABLE actor.failure ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.failure FOR SELECT
    USING (actor.owns_type(actor_type) OR actor.holds_role(role_name));

ALTER TABLE actor.host ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.host FOR SELECT
    USING (actor.holds_role(role_name)
           OR pg_catalog.pg_has_role('pg_monitor', 'USAGE'));

ALTER TABLE actor.placement ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.placement FOR SELECT
    USING (actor.owns_type(actor_type));

ALTER TABLE actor.leftover ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.leftover FOR SELECT
    USING (actor.owns_type(actor_type));

ALTER TABLE actor.history ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.history FOR SELECT
    USING (actor.owns_type(actor_type));

ALTER TABLE actor.history_change ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.history_change FOR SELECT
    USING (actor.owns_type(actor_type));

ALTER TABLE actor.topic ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.topic FOR SELECT
    USING (actor.owns_type(actor_type)
           OR pg_catalog.pg_has_role('pg_monitor', 'USAGE'));

ALTER TABLE actor.stream ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.stream FOR SELECT
    USING (actor.owns_type(actor_type));

ALTER TABLE actor.event ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.event FOR SELECT
    USING (actor.owns_type(actor_type));

ALTER TABLE actor.subscription ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.subscription FOR SELECT
    USING (actor.owns_type(actor_type) OR actor.owns_type(topic_type)
           OR actor.holds_role(role_name));

ALTER TABLE actor.fan_out ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON actor.fan_out FOR SELECT
    USING (actor.owns_type(actor_type));

/*
 * What a type can do
 */

CREATE FUNCTION actor.is_method(function oid)
RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_is_method';
COMMENT ON FUNCTION actor.is_method(oid)
    IS 'whether a function is a method of a type that has its schema';

CREATE FUNCTION actor.type_schema(actor_type text)
RETURNS oid
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_schema_of_type';
COMMENT ON FUNCTION actor.type_schema(text)
    IS 'schema of a type; NULL if it has lost it, or there is no such type';

CREATE VIEW actor.method WITH (security_barrier) AS
    SELECT t.actor_type,
           p.proname AS method,
           p.oid AS function,
           COALESCE((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_strip_nulls(
                            pg_catalog.jsonb_build_object(
                                'name'::pg_catalog.text,
                                CASE WHEN a.name OPERATOR(pg_catalog.<>) '' THEN a.name END,
                                'type'::pg_catalog.text, pg_catalog.format_type(a.type, NULL),
                                'default'::pg_catalog.text,
                                pg_catalog.pg_get_function_arg_default(p.oid, a.number::pg_catalog.int4)))
                            ORDER BY a.number)
                       FROM ROWS FROM (pg_catalog.unnest(COALESCE(p.proallargtypes, p.proargtypes::pg_catalog.oid[])),
                                       pg_catalog.unnest(p.proargnames),
                                       pg_catalog.unnest(p.proargmodes))
                            WITH ORDINALITY AS a (type, name, mode, number)
                      WHERE a.mode IS NULL OR a.mode OPERATOR(pg_catalog.=) ANY (ARRAY['i', 'b']::pg_catalog."char"[])),
                    '[]'::pg_catalog.jsonb) AS parameters,
           pg_catalog.pg_get_function_result(p.oid) AS result,
           p.provolatile OPERATOR(pg_catalog.<>) 'v' AS read_only,
           t.hosted,
           pg_catalog.has_schema_privilege(p.pronamespace, 'USAGE')
               AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE') AS callable,
           pg_catalog.obj_description(p.oid, 'pg_proc') AS comment
      FROM actor.type t
      JOIN pg_catalog.pg_proc p ON p.pronamespace OPERATOR(pg_catalog.=) actor.type_schema(t.actor_type)
     WHERE actor.is_method(p.oid);
COMMENT ON VIEW actor.method IS 'methods of the types that are functions';
COMMENT ON COLUMN actor.method.actor_type IS 'name of the type';
COMMENT ON COLUMN actor.method.method IS 'name of the method';
COMMENT ON COLUMN actor.method.function IS 'oid of the function';
COMMENT ON COLUMN actor.method.parameters IS 'array of its parameters: name, type and default, as far as there are such';
COMMENT ON COLUMN actor.method.result IS 'type of what it returns';
COMMENT ON COLUMN actor.method.read_only IS 'whether it only reads, and so takes no turn';
COMMENT ON COLUMN actor.method.hosted IS 'whether the type is hosted, and so has more methods, which only its application knows';
COMMENT ON COLUMN actor.method.callable IS 'whether the current role may call it';
COMMENT ON COLUMN actor.method.comment IS 'its COMMENT; NULL: none';

CREATE FUNCTION actor.json_schema(type oid)
RETURNS jsonb
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_json_schema';
COMMENT ON FUNCTION actor.json_schema(oid)
    IS 'schema of OpenAPI for the JSON that stands for a value of a type';

/*
 * Monitoring, without payloads
 */

CREATE FUNCTION actor.get_activations(
    of_type          text DEFAULT NULL,
    of_id            text DEFAULT NULL,
    OUT actor_type   text,
    OUT actor_id     text,
    OUT activated_at timestamptz,
    OUT last_used_at timestamptz)
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_get_activations';
COMMENT ON FUNCTION actor.get_activations(text, text)
    IS 'active actors, for the view actor.instance, or the one that is named, if it is active; none on a standby';

CREATE VIEW actor.instance WITH (security_barrier) AS
    SELECT i.actor_type,
           i.actor_id,
           pg_catalog.sum(i.keys) AS keys,
           pg_catalog.sum(i.bytes) AS bytes,
           pg_catalog.max(i.activated_at) AS activated_at,
           pg_catalog.max(i.last_used_at) AS last_used_at,
           pg_catalog.max(i.host_id) AS host_id,
           pg_catalog.max(i.host_address) AS host_address
      FROM (SELECT s.actor_type, s.actor_id, 1 AS keys,
                   pg_catalog.pg_column_size(s.value) AS bytes,
                   NULL::pg_catalog.timestamptz AS activated_at,
                   NULL::pg_catalog.timestamptz AS last_used_at,
                   NULL::pg_catalog.text AS host_id,
                   NULL::pg_catalog.text AS host_address
              FROM actor.state s
             WHERE s.expires_at IS NULL
                OR s.expires_at OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()
            UNION ALL
            SELECT a.actor_type COLLATE "C", a.actor_id COLLATE "C", 0, 0,
                   a.activated_at, a.last_used_at, NULL, NULL
              FROM actor.get_activations() a
            UNION ALL
            SELECT p.actor_type, p.actor_id, 0, 0, NULL, NULL,
                   p.host_id::pg_catalog.text, h.address
              FROM actor.placement p
              JOIN actor.host h ON h.host_id OPERATOR(pg_catalog.=) p.host_id) i
     WHERE actor.owns_type(i.actor_type)
        OR pg_catalog.pg_has_role('pg_monitor', 'USAGE')
     GROUP BY i.actor_type, i.actor_id;
COMMENT ON VIEW actor.instance IS 'actors that have state, are active, or are placed at a host';
COMMENT ON COLUMN actor.instance.actor_type IS 'type of the actor';
COMMENT ON COLUMN actor.instance.actor_id IS 'id of the actor';
COMMENT ON COLUMN actor.instance.keys IS 'number of keys of its state';
COMMENT ON COLUMN actor.instance.bytes IS 'bytes that their values take';
COMMENT ON COLUMN actor.instance.activated_at IS 'when it was activated; NULL: it is not active';
COMMENT ON COLUMN actor.instance.host_id IS 'host that has it; NULL: none';
COMMENT ON COLUMN actor.instance.host_address IS 'where that host is';
COMMENT ON COLUMN actor.instance.last_used_at IS 'when it was last used, late by at most half of scan_interval; NULL: it is not active';

CREATE FUNCTION actor.host_is_alive(host_id uuid)
RETURNS boolean
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_host_is_alive';
COMMENT ON FUNCTION actor.host_is_alive(uuid)
    IS 'whether a host lives: the session in which it has joined';

CREATE VIEW actor.host_status WITH (security_barrier) AS
    SELECT h.host_id::pg_catalog.text AS host_id, h.app_id, h.app_address, h.address,
           h.role_name, h.actor_types, h.since,
           actor.host_is_alive(h.host_id) AS alive, h.reachable,
           (SELECT pg_catalog.count(*)
              FROM (SELECT FROM actor.placement p
                     WHERE p.host_id OPERATOR(pg_catalog.=) h.host_id LIMIT 10000) p) AS placements
      FROM actor.host h
     WHERE actor.holds_role(h.role_name)
        OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW actor.host_status IS 'hosts that have joined, and whether they live';
COMMENT ON COLUMN actor.host_status.host_id IS 'id of the host';
COMMENT ON COLUMN actor.host_status.app_id IS 'id of the application';
COMMENT ON COLUMN actor.host_status.app_address IS 'where the host finds the application';
COMMENT ON COLUMN actor.host_status.address IS 'where other hosts find the host';
COMMENT ON COLUMN actor.host_status.role_name IS 'role that has joined';
COMMENT ON COLUMN actor.host_status.actor_types IS 'types that the application has';
COMMENT ON COLUMN actor.host_status.since IS 'when the host has joined';
COMMENT ON COLUMN actor.host_status.alive IS 'whether the host lives';
COMMENT ON COLUMN actor.host_status.reachable IS 'whether the application has answered its host last';
COMMENT ON COLUMN actor.host_status.placements IS 'number of actors that are placed there, counted up to 10,000';

CREATE VIEW actor.queue WITH (security_barrier) AS
    SELECT m.actor_type,
           pg_catalog.count(*) AS messages,
           pg_catalog.count(*) FILTER (WHERE m.due_at OPERATOR(pg_catalog.<=) n.now) AS due,
           pg_catalog.min(m.due_at) FILTER (WHERE m.due_at OPERATOR(pg_catalog.<=) n.now) AS oldest_due,
           pg_catalog.max(n.now OPERATOR(pg_catalog.-) m.due_at)
               FILTER (WHERE m.due_at OPERATOR(pg_catalog.<=) n.now) AS age
      FROM actor.message m
     CROSS JOIN (SELECT pg_catalog.clock_timestamp() AS now OFFSET 0) n
     WHERE actor.owns_type(m.actor_type)
        OR pg_catalog.pg_has_role('pg_monitor', 'USAGE')
     GROUP BY m.actor_type;
COMMENT ON VIEW actor.queue IS 'messages that wait for delivery, by type of actor';
COMMENT ON COLUMN actor.queue.actor_type IS 'type of the actors';
COMMENT ON COLUMN actor.queue.messages IS 'number of messages';
COMMENT ON COLUMN actor.queue.due IS 'number of those that are due';
COMMENT ON COLUMN actor.queue.oldest_due IS 'when the first of those was due; NULL: none is due';
COMMENT ON COLUMN actor.queue.age IS 'how long that one has been due; NULL: none is due';

CREATE FUNCTION actor.get_timers(
    of_type          text DEFAULT NULL,
    of_id            text DEFAULT NULL,
    OUT actor_type   text,
    OUT actor_id     text,
    OUT name         text,
    OUT method       text,
    OUT role_name    name,
    OUT scheduled_at timestamptz,
    OUT next_try_at  timestamptz,
    OUT attempt      integer,
    OUT deferrals    integer)
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_get_timers';
COMMENT ON FUNCTION actor.get_timers(text, text)
    IS 'timers, for the view actor.pending, or those of the actor that is named; none on a standby';

CREATE VIEW actor.pending WITH (security_barrier) AS
    SELECT 'reminder'::pg_catalog.text AS kind, r.actor_type, r.actor_id, r.name, r.method,
           r.role_name, r.scheduled_at, r.next_try_at, r.attempt, r.deferrals
      FROM actor.reminder r
     WHERE actor.owns_type(r.actor_type)
        OR actor.holds_role(r.role_name)
        OR pg_catalog.pg_has_role('pg_monitor', 'USAGE')
    UNION ALL
    SELECT 'message', m.actor_type, m.actor_id, m.message_id::pg_catalog.text COLLATE "C", m.method,
           m.role_name, m.due_at, m.next_try_at, m.attempt, m.deferrals
      FROM actor.message m
     WHERE actor.owns_type(m.actor_type)
        OR actor.holds_role(m.role_name)
        OR pg_catalog.pg_has_role('pg_monitor', 'USAGE')
    UNION ALL
    SELECT 'timer', t.actor_type COLLATE "C", t.actor_id COLLATE "C", t.name COLLATE "C", t.method,
           t.role_name, t.scheduled_at, t.next_try_at, t.attempt, t.deferrals
      FROM actor.get_timers() t;
COMMENT ON VIEW actor.pending IS 'reminders, timers and messages that are to come, without payloads';
COMMENT ON COLUMN actor.pending.kind IS 'reminder, timer or message';
COMMENT ON COLUMN actor.pending.actor_type IS 'type of the actor';
COMMENT ON COLUMN actor.pending.actor_id IS 'id of the actor';
COMMENT ON COLUMN actor.pending.name IS 'name of the reminder or timer, or id of the message';
COMMENT ON COLUMN actor.pending.method IS 'method that is called';
COMMENT ON COLUMN actor.pending.role_name IS 'role that runs the method';
COMMENT ON COLUMN actor.pending.scheduled_at IS 'instant the firing is scheduled at, or the message is due';
COMMENT ON COLUMN actor.pending.next_try_at IS 'when it is tried; infinity: the actor is paused, or other messages come before';
COMMENT ON COLUMN actor.pending.attempt IS 'number of the next attempt, from 1';
COMMENT ON COLUMN actor.pending.deferrals IS 'how often in a row it was put off for a reason that does not count, such as a deadlock';

CREATE VIEW actor.given_up WITH (security_barrier) AS
    SELECT f.failure_id, f.kind, f.actor_type, f.actor_id, f.name, f.method, f.role_name,
           f.scheduled_at, f.failed_at, f.attempts, f.sqlstate
      FROM actor.failure f
     WHERE actor.owns_type(f.actor_type)
        OR actor.holds_role(f.role_name)
        OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW actor.given_up IS 'what actor.failure has, without payloads and texts of errors';
COMMENT ON COLUMN actor.given_up.failure_id IS 'number of the failure';
COMMENT ON COLUMN actor.given_up.kind IS 'what failed: reminder, timer, message or deactivate';
COMMENT ON COLUMN actor.given_up.actor_type IS 'type of the actor';
COMMENT ON COLUMN actor.given_up.actor_id IS 'id of the actor';
COMMENT ON COLUMN actor.given_up.name IS 'name of the reminder or timer, id of the message, or name of the hook';
COMMENT ON COLUMN actor.given_up.method IS 'method that was called';
COMMENT ON COLUMN actor.given_up.role_name IS 'role that ran the method';
COMMENT ON COLUMN actor.given_up.scheduled_at IS 'instant the firing was scheduled at';
COMMENT ON COLUMN actor.given_up.failed_at IS 'when the last attempt failed';
COMMENT ON COLUMN actor.given_up.attempts IS 'number of attempts';
COMMENT ON COLUMN actor.given_up.sqlstate IS 'SQLSTATE of the last error';

CREATE VIEW actor.each_status WITH (security_barrier) AS
    SELECT e.actor_type, e.each_id, e.method, e.batch, e.role_name, e.started_at, e.sent, e.last_id,
           e.moved_at, e.finished_at
      FROM actor.each e
     WHERE actor.owns_type(e.actor_type)
        OR actor.holds_role(e.role_name)
        OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW actor.each_status IS 'what actor.each has, without payloads';
COMMENT ON COLUMN actor.each_status.actor_type IS 'type of the actors';
COMMENT ON COLUMN actor.each_status.each_id IS 'what actor_each has returned';
COMMENT ON COLUMN actor.each_status.method IS 'method that the messages call';
COMMENT ON COLUMN actor.each_status.batch IS 'how many may wait to be delivered before there are more';
COMMENT ON COLUMN actor.each_status.role_name IS 'role that sends them, and runs the method';
COMMENT ON COLUMN actor.each_status.started_at IS 'when actor_each was called';
COMMENT ON COLUMN actor.each_status.sent IS 'how many messages were sent';
COMMENT ON COLUMN actor.each_status.last_id IS 'actor to which the last one was sent; NULL: there was none yet';
COMMENT ON COLUMN actor.each_status.moved_at IS 'when messages were sent last; NULL: none was yet';
COMMENT ON COLUMN actor.each_status.finished_at IS 'when the last one was sent; NULL: there are more to come';

CREATE VIEW actor.fan_out_status WITH (security_barrier) AS
    SELECT f.actor_type, f.actor_id, f.topic, f.fan_out_id, f.published_at,
           (SELECT pg_catalog.count(*)
              FROM (SELECT FROM actor.subscription s
                     WHERE s.topic_type OPERATOR(pg_catalog.=) f.actor_type
                       AND s.topic_id OPERATOR(pg_catalog.=) f.actor_id
                       AND s.topic OPERATOR(pg_catalog.=) f.topic
                       AND s.subscription_id OPERATOR(pg_catalog.>) f.done_to
                       AND s.subscription_id OPERATOR(pg_catalog.<) f.fan_out_id
                     LIMIT 100000) c) AS subscribers_left
      FROM actor.fan_out f
     WHERE actor.owns_type(f.actor_type)
        OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW actor.fan_out_status IS 'events that the workers hand out, and how far they are, without payloads';
COMMENT ON COLUMN actor.fan_out_status.actor_type IS 'type of the actor that the topic belongs to';
COMMENT ON COLUMN actor.fan_out_status.actor_id IS 'id of the actor; empty: the topic belongs to the type';
COMMENT ON COLUMN actor.fan_out_status.topic IS 'name of the topic';
COMMENT ON COLUMN actor.fan_out_status.fan_out_id IS 'number of the event among those that wait; those of a topic are handed out in this order';
COMMENT ON COLUMN actor.fan_out_status.published_at IS 'when it was published';
COMMENT ON COLUMN actor.fan_out_status.subscribers_left IS 'subscribers that have not got it yet, up to 100000';

CREATE FUNCTION actor.get_type_status(
    OUT actor_type  text,
    OUT active      bigint,
    OUT reminders   bigint,
    OUT timers      bigint,
    OUT messages    bigint,
    OUT due         bigint,
    OUT oldest_due  timestamptz,
    OUT failures    bigint,
    OUT paused      boolean,
    OUT pauses      bigint,
    OUT counted_max bigint)
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_get_type_status';
COMMENT ON FUNCTION actor.get_type_status()
    IS 'what there is of each type, for the view actor.type_status';

CREATE VIEW actor.type_status WITH (security_barrier) AS
    SELECT s.actor_type, s.active, s.reminders, s.timers, s.messages, s.due, s.oldest_due,
           s.failures, s.paused, s.pauses, s.counted_max
      FROM actor.get_type_status() s;
COMMENT ON VIEW actor.type_status IS 'what there is of each type, counted up to a limit, so that it costs the same however much that is';
COMMENT ON COLUMN actor.type_status.actor_type IS 'name of the type';
COMMENT ON COLUMN actor.type_status.active IS 'active actors; NULL on a standby';
COMMENT ON COLUMN actor.type_status.reminders IS 'reminders';
COMMENT ON COLUMN actor.type_status.timers IS 'timers; NULL on a standby';
COMMENT ON COLUMN actor.type_status.messages IS 'messages that wait for delivery';
COMMENT ON COLUMN actor.type_status.due IS 'those of the counted ones that are due';
COMMENT ON COLUMN actor.type_status.oldest_due IS 'when the first of these was due; NULL: none is due';
COMMENT ON COLUMN actor.type_status.failures IS 'calls given up that nobody has retried or discarded';
COMMENT ON COLUMN actor.type_status.paused IS 'whether the type is paused';
COMMENT ON COLUMN actor.type_status.pauses IS 'actors that are paused';
COMMENT ON COLUMN actor.type_status.counted_max IS 'up to so many were counted: such a number stands for that many or more';

/*
 * Statistics.  The functions under the views show to everybody what he may
 * see: to pg_monitor all of it, to the owner of a type what is about its actors.
 */

CREATE FUNCTION actor.get_turns(
    OUT pid        integer,
    OUT actor_type text,
    OUT actor_id   text,
    OUT method     text,
    OUT state      text,
    OUT since      timestamptz,
    OUT chain      text,
    OUT lock_key   bigint,
    OUT hidden     integer)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_get_turns';
COMMENT ON FUNCTION actor.get_turns()
    IS 'actors that processes hold and wait for, for the view actor.turn';

CREATE VIEW actor.turn WITH (security_barrier) AS
    WITH t AS MATERIALIZED (SELECT * FROM actor.get_turns())
    SELECT t.pid, t.actor_type, t.actor_id, t.method, t.state, t.since, t.chain
      FROM t
    UNION ALL
    SELECT l.pid, NULL, NULL, NULL, 'holds', NULL, NULL
      FROM pg_catalog.pg_locks l
     WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory'
       AND l.objsubid OPERATOR(pg_catalog.=) 19143
       AND l.granted
       AND l.database OPERATOR(pg_catalog.=)
           (SELECT d.oid FROM pg_catalog.pg_database d
             WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
       AND (l.pid IS NULL
            OR l.pid IN (SELECT t.pid FROM t WHERE t.hidden OPERATOR(pg_catalog.>) 0))
       AND (l.classid::pg_catalog.int8 OPERATOR(pg_catalog.<<) 32
            OPERATOR(pg_catalog.|) l.objid::pg_catalog.int8)
           NOT IN (SELECT t.lock_key FROM t
                    WHERE t.pid OPERATOR(pg_catalog.=) l.pid
                      AND t.state OPERATOR(pg_catalog.=) 'holds')
       AND pg_catalog.pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW actor.turn IS 'who holds, and who waits for, the turn of which actor';
COMMENT ON COLUMN actor.turn.pid IS 'process; NULL: a turn that is open between transactions, or of a prepared one';
COMMENT ON COLUMN actor.turn.actor_type IS 'type of the actor; NULL: not known, one of too many of a transaction or of a prepared one';
COMMENT ON COLUMN actor.turn.actor_id IS 'id of the actor';
COMMENT ON COLUMN actor.turn.method IS 'its innermost running method, or the one that took or wants the turn';
COMMENT ON COLUMN actor.turn.state IS 'holds or waits';
COMMENT ON COLUMN actor.turn.since IS 'when the turn was taken, or the wait has begun';
COMMENT ON COLUMN actor.turn.chain IS 'running calls of the process, outermost first; NULL: none runs';

CREATE FUNCTION actor.get_method_stats(
    OUT actor_type        text,
    OUT method            text,
    OUT calls             bigint,
    OUT errors            bigint,
    OUT total_ms          double precision,
    OUT min_ms            double precision,
    OUT max_ms            double precision,
    OUT mean_ms           double precision,
    OUT p50_ms            double precision,
    OUT p95_ms            double precision,
    OUT p99_ms            double precision,
    OUT wait_ms           double precision,
    OUT deadlocks         bigint,
    OUT reentries_refused bigint,
    OUT runs              bigint,
    OUT bounds            double precision[],
    OUT counts            bigint[])
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_get_method_stats';
COMMENT ON FUNCTION actor.get_method_stats()
    IS 'counters of the methods, for the view actor.method_stat; also how many calls ran, and how many not longer than so many seconds';

CREATE VIEW actor.method_stat WITH (security_barrier) AS
    SELECT s.actor_type, s.method, s.calls, s.errors, s.total_ms, s.min_ms, s.max_ms,
           s.mean_ms, s.p50_ms, s.p95_ms, s.p99_ms, s.wait_ms, s.deadlocks,
           s.reentries_refused
      FROM actor.get_method_stats() s;
COMMENT ON VIEW actor.method_stat IS 'counters of the methods of this database since the server was started, or actor_stat_reset()';
COMMENT ON COLUMN actor.method_stat.actor_type IS 'actor type';
COMMENT ON COLUMN actor.method_stat.method IS 'method or hook';
COMMENT ON COLUMN actor.method_stat.calls IS 'calls that have ended, in whatever way';
COMMENT ON COLUMN actor.method_stat.errors IS 'those that have failed: in the method, while they waited for the turn, or because reentry was refused';
COMMENT ON COLUMN actor.method_stat.total_ms IS 'time the method ran, with what it has called, in milliseconds';
COMMENT ON COLUMN actor.method_stat.min_ms IS 'shortest run';
COMMENT ON COLUMN actor.method_stat.max_ms IS 'longest run';
COMMENT ON COLUMN actor.method_stat.mean_ms IS 'mean of the runs';
COMMENT ON COLUMN actor.method_stat.p50_ms IS 'half of the runs did not take longer';
COMMENT ON COLUMN actor.method_stat.p95_ms IS '95 of 100 runs did not take longer';
COMMENT ON COLUMN actor.method_stat.p99_ms IS '99 of 100 runs did not take longer';
COMMENT ON COLUMN actor.method_stat.wait_ms IS 'time that calls waited for the turn, in milliseconds';
COMMENT ON COLUMN actor.method_stat.deadlocks IS 'calls that a deadlock has ended while they waited for the turn';
COMMENT ON COLUMN actor.method_stat.reentries_refused IS 'calls that were refused because the actor was in the chain already';

CREATE FUNCTION actor.get_hot_actors(
    OUT actor_type text,
    OUT actor_id   text,
    OUT waits      bigint,
    OUT waits_over bigint,
    OUT wait_ms    double precision)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_get_hot_actors';
COMMENT ON FUNCTION actor.get_hot_actors()
    IS 'actors that calls have waited for, for the view actor.hot_actor';

CREATE VIEW actor.hot_actor WITH (security_barrier) AS
    SELECT h.actor_type, h.actor_id, h.waits, h.waits_over, h.wait_ms
      FROM actor.get_hot_actors() h;
COMMENT ON VIEW actor.hot_actor IS 'actors that calls have waited for most';
COMMENT ON COLUMN actor.hot_actor.actor_type IS 'type of the actor';
COMMENT ON COLUMN actor.hot_actor.actor_id IS 'id of the actor';
COMMENT ON COLUMN actor.hot_actor.waits IS 'how often its turn was waited for';
COMMENT ON COLUMN actor.hot_actor.waits_over IS 'by how much that is too high at most';
COMMENT ON COLUMN actor.hot_actor.wait_ms IS 'time that was waited since it is counted, in milliseconds';

CREATE FUNCTION actor.get_firing_stats(
    OUT actor_type  text,
    OUT fired       bigint,
    OUT failed      bigint,
    OUT late_ms     double precision,
    OUT p50_late_ms double precision,
    OUT p99_late_ms double precision,
    OUT bounds      double precision[],
    OUT counts      bigint[])
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_get_firing_stats';
COMMENT ON FUNCTION actor.get_firing_stats()
    IS 'callbacks that workers have run, by type, how late in all, and how many not later than so many seconds';

CREATE FUNCTION actor.get_gauges(
    source         text DEFAULT NULL,
    OUT name       text,
    OUT actor_type text,
    OUT check_name text,
    OUT value      double precision)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_get_gauges';
COMMENT ON FUNCTION actor.get_gauges(text)
    IS 'the metrics of actor_metrics() that can go down, or those of a source: workers, turns, due, rows, hosts or doctor';

CREATE FUNCTION actor.get_worker_stats(
    OUT pid            integer,
    OUT last_active_at timestamptz,
    OUT fired          bigint,
    OUT failed         bigint,
    OUT backlog        bigint,
    OUT oldest_due     timestamptz,
    OUT p50_late_ms    double precision,
    OUT p99_late_ms    double precision)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_get_worker_stats';
COMMENT ON FUNCTION actor.get_worker_stats()
    IS 'what workers have done, for the view actor.worker; also of some that have ended';

CREATE VIEW actor.worker WITH (security_barrier) AS
    SELECT a.pid,
           pg_catalog.substr(a.backend_type, 7) AS kind,
           a.datname AS database,
           CASE WHEN a.backend_type OPERATOR(pg_catalog.=) 'actor executor'
                THEN a.usename END AS role_name,
           a.backend_start AS started_at,
           s.last_active_at, s.fired, s.failed, s.backlog, s.oldest_due,
           s.p50_late_ms, s.p99_late_ms
      FROM pg_catalog.pg_stat_activity a
      JOIN actor.get_worker_stats() s ON s.pid OPERATOR(pg_catalog.=) a.pid
     WHERE a.backend_type OPERATOR(pg_catalog.=) ANY
           (ARRAY['actor launcher', 'actor scheduler', 'actor executor']);
COMMENT ON VIEW actor.worker IS 'background workers of the server';
COMMENT ON COLUMN actor.worker.pid IS 'process';
COMMENT ON COLUMN actor.worker.kind IS 'launcher, scheduler or executor';
COMMENT ON COLUMN actor.worker.database IS 'database; NULL: the launcher has none';
COMMENT ON COLUMN actor.worker.role_name IS 'role of an executor';
COMMENT ON COLUMN actor.worker.started_at IS 'when it was started';
COMMENT ON COLUMN actor.worker.last_active_at IS 'when it last had a look for something to do';
COMMENT ON COLUMN actor.worker.fired IS 'callbacks that an executor has run';
COMMENT ON COLUMN actor.worker.failed IS 'those that have failed';
COMMENT ON COLUMN actor.worker.backlog IS 'due rows at its last look, as far as they were counted';
COMMENT ON COLUMN actor.worker.oldest_due IS 'when the oldest of them was due; NULL: there was none';
COMMENT ON COLUMN actor.worker.p50_late_ms IS 'half of the callbacks were not later than so many milliseconds';
COMMENT ON COLUMN actor.worker.p99_late_ms IS '99 of 100 callbacks were not later';

/*
 * Actor types
 */

CREATE FUNCTION @extschema@.actor_register(
    actor_type                   text,
    schema_name                  name DEFAULT NULL,
    idle_timeout                 interval DEFAULT NULL,
    scan_interval                interval DEFAULT NULL,
    reentrancy                   boolean DEFAULT NULL,
    max_stack_depth              integer DEFAULT NULL,
    call_timeout                 interval DEFAULT NULL,
    drain_ongoing_call_timeout   interval DEFAULT NULL,
    drain_rebalanced_actors      boolean DEFAULT NULL,
    reminders_storage_partitions integer DEFAULT NULL,
    early_release                boolean DEFAULT NULL,
    hosted                       boolean DEFAULT NULL,
    turn                         text DEFAULT NULL,
    history                      text DEFAULT NULL,
    history_retention            interval DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_register';
COMMENT ON FUNCTION @extschema@.actor_register(text, name, interval, interval, boolean, integer, interval, interval, boolean, integer, boolean, boolean, text, text, interval)
    IS 'registers an actor type, or replaces its whole configuration';

CREATE FUNCTION @extschema@.actor_unregister(
    actor_type text,
    force      boolean DEFAULT false)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_unregister';
COMMENT ON FUNCTION @extschema@.actor_unregister(text, boolean)
    IS 'removes an actor type; with force also all data of its actors';

CREATE FUNCTION @extschema@.actor_rename(actor_type text, new_name text)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_rename';
COMMENT ON FUNCTION @extschema@.actor_rename(text, text)
    IS 'renames an actor type, with all rows of its actors';

CREATE FUNCTION @extschema@.actor_configure(
    document jsonb,
    hosted   boolean DEFAULT NULL,
    turn     text DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_configure';
COMMENT ON FUNCTION @extschema@.actor_configure(jsonb, boolean, text)
    IS 'registers and configures all actor types of a Dapr host configuration';

/*
 * Calls
 */

CREATE FUNCTION @extschema@.actor_invoke(
    actor_type    text,
    actor_id      text,
    method        text,
    payload       jsonb DEFAULT NULL,
    reentrancy_id uuid DEFAULT NULL,
    request_id    text DEFAULT NULL)
RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_invoke';
COMMENT ON FUNCTION @extschema@.actor_invoke(text, text, text, jsonb, uuid, text)
    IS 'calls a method of an actor in its turn and returns the result';

CREATE FUNCTION @extschema@.actor_explain(
    actor_type text,
    actor_id   text,
    method     text,
    payload    jsonb DEFAULT NULL)
RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_explain';
COMMENT ON FUNCTION @extschema@.actor_explain(text, text, text, jsonb)
    IS 'makes a call, rolls it back, and returns what it would do';

CREATE FUNCTION @extschema@.actor_type()
RETURNS text
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_type';
COMMENT ON FUNCTION @extschema@.actor_type()
    IS 'type of the running actor; NULL outside a method';

CREATE FUNCTION @extschema@.actor_id()
RETURNS text
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_id';
COMMENT ON FUNCTION @extschema@.actor_id()
    IS 'id of the running actor; NULL outside a method';

CREATE FUNCTION @extschema@.actor_method()
RETURNS text
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_method';
COMMENT ON FUNCTION @extschema@.actor_method()
    IS 'name of the running method; NULL outside a method';

CREATE FUNCTION @extschema@.actor_reentrancy_id()
RETURNS uuid
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_reentrancy_id';
COMMENT ON FUNCTION @extschema@.actor_reentrancy_id()
    IS 'id of the running call chain; NULL outside a method';

CREATE FUNCTION @extschema@.actor_call_chain(
    OUT depth      integer,
    OUT actor_type text,
    OUT actor_id   text,
    OUT method     text)
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_call_chain';
COMMENT ON FUNCTION @extschema@.actor_call_chain()
    IS 'the running calls, outermost first';

CREATE FUNCTION @extschema@.actor_cause()
RETURNS jsonb
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_cause';
COMMENT ON FUNCTION @extschema@.actor_cause()
    IS 'why the running method runs: a call or a reminder, with its details';

/*
 * State of the running actor
 */

CREATE FUNCTION @extschema@.actor_get(key text)
RETURNS jsonb
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_get';
COMMENT ON FUNCTION @extschema@.actor_get(text)
    IS 'value of a key of the running actor; NULL when absent';

CREATE FUNCTION @extschema@.actor_get(key text, default_value anyelement)
RETURNS anyelement
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_get_typed';
COMMENT ON FUNCTION @extschema@.actor_get(text, anyelement)
    IS 'value of a key of the running actor in the type of the default, which stands for an absent key';

CREATE FUNCTION @extschema@.actor_get(key text, default_value text)
RETURNS text
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_get_typed';
COMMENT ON FUNCTION @extschema@.actor_get(text, text)
    IS 'value of a key of the running actor as text; the default stands for an absent key';

-- a value of this type, which is no string to the parser, would fit both others
CREATE FUNCTION @extschema@.actor_get(key text, default_value "char")
RETURNS "char"
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_get_typed';
COMMENT ON FUNCTION @extschema@.actor_get(text, "char")
    IS 'value of a key of the running actor as "char"; the default stands for an absent key';

CREATE FUNCTION @extschema@.actor_set(key text, value anyelement, ttl interval DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_set';
COMMENT ON FUNCTION @extschema@.actor_set(text, anyelement, interval)
    IS 'sets a key of the running actor, for the given time or for good';

CREATE FUNCTION @extschema@.actor_set(key text, value text, ttl interval DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_set';
COMMENT ON FUNCTION @extschema@.actor_set(text, text, interval)
    IS 'sets a key of the running actor to a string, for the given time or for good';

CREATE FUNCTION @extschema@.actor_set(key text, value "char", ttl interval DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_set';
COMMENT ON FUNCTION @extschema@.actor_set(text, "char", interval)
    IS 'sets a key of the running actor to a character, for the given time or for good';

CREATE FUNCTION @extschema@.actor_remove(key text)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_remove';
COMMENT ON FUNCTION @extschema@.actor_remove(text)
    IS 'removes a key of the running actor; true if there was one';

CREATE FUNCTION @extschema@.actor_state()
RETURNS jsonb
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_state';
COMMENT ON FUNCTION @extschema@.actor_state()
    IS 'all keys of the running actor as one object';

CREATE FUNCTION @extschema@.actor_transact(operations jsonb)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_transact';
COMMENT ON FUNCTION @extschema@.actor_transact(jsonb)
    IS 'applies an array of upsert and delete operations to the running actor, all or none';

/*
 * State of any actor, for the owner of its type
 */

CREATE FUNCTION @extschema@.actor_get_state(
    actor_type     text,
    actor_id       text,
    key            text,
    OUT value      jsonb,
    OUT expires_at timestamptz)
RETURNS record
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_get_state';
COMMENT ON FUNCTION @extschema@.actor_get_state(text, text, text)
    IS 'value of a key of an actor, NULL when absent, and when it expires; for the owner of the type';

CREATE FUNCTION @extschema@.actor_transact(
    actor_type    text,
    actor_id      text,
    operations    jsonb,
    reentrancy_id uuid DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_transact_on';
COMMENT ON FUNCTION @extschema@.actor_transact(text, text, jsonb, uuid)
    IS 'applies an array of upsert and delete operations to an actor in its turn, all or none; for the owner of the type';

/*
 * History of any actor, for the owner of its type
 */

CREATE FUNCTION @extschema@.actor_history(
    actor_type      text,
    actor_id        text,
    max_rows        integer DEFAULT 1000,
    OUT history_id  bigint,
    OUT started_at  timestamptz,
    OUT duration_ms double precision,
    OUT kind        text,
    OUT name        text,
    OUT method      text,
    OUT attempt     integer,
    OUT ran_as      name,
    OUT sqlstate    text,
    OUT message     text,
    OUT traceparent text,
    OUT changes     jsonb)
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_history';
COMMENT ON FUNCTION @extschema@.actor_history(text, text, integer)
    IS 'what has run in turns of an actor and what it has changed, the last entry first; for the owner of the type';

CREATE FUNCTION @extschema@.actor_state_at(
    actor_type text,
    actor_id   text,
    at         timestamptz)
RETURNS jsonb
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_state_at';
COMMENT ON FUNCTION @extschema@.actor_state_at(text, text, timestamptz)
    IS 'all keys of an actor as one object, as they were at an instant; for the owner of a type that keeps changes';

/*
 * What a type can do
 */

CREATE FUNCTION @extschema@.actor_openapi(actor_type text)
RETURNS jsonb
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_openapi';
COMMENT ON FUNCTION @extschema@.actor_openapi(text)
    IS 'methods of a type that the current role may call, as actor-http serves them, in the form of OpenAPI; NULL: no such type';

/*
 * Life of an actor
 */

CREATE FUNCTION @extschema@.actor_deactivate(
    actor_type text,
    actor_id   text)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_deactivate';
COMMENT ON FUNCTION @extschema@.actor_deactivate(text, text)
    IS 'deactivates an actor, which keeps its state; true if it was active';

CREATE FUNCTION @extschema@.actor_distribute(
    shard_count integer DEFAULT 128)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_distribute';
COMMENT ON FUNCTION @extschema@.actor_distribute(integer)
    IS 'puts the actors of this database on the servers of a Citus cluster';

CREATE FUNCTION @extschema@.actor_rebalance()
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_rebalance';
COMMENT ON FUNCTION @extschema@.actor_rebalance()
    IS 'begins to spread the shards of actors evenly over the servers of a Citus cluster; the number of the job';

CREATE FUNCTION @extschema@.actor_delete(
    actor_type text,
    actor_id   text)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_delete';
COMMENT ON FUNCTION @extschema@.actor_delete(text, text)
    IS 'removes an actor with its state; true if there was anything of it';

CREATE FUNCTION @extschema@.actor_pause(
    actor_type text,
    actor_id   text DEFAULT NULL)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_pause';
COMMENT ON FUNCTION @extschema@.actor_pause(text, text)
    IS 'keeps callbacks and writing calls from an actor, or from all of a type; true if it was not paused';

CREATE FUNCTION @extschema@.actor_resume(
    actor_type text,
    actor_id   text DEFAULT NULL)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_resume';
COMMENT ON FUNCTION @extschema@.actor_resume(text, text)
    IS 'ends what actor_pause of the same arguments has begun; true if it was paused';

/*
 * Turns that outlive a transaction
 */

CREATE FUNCTION @extschema@.actor_open_turn(
    actor_type text,
    actor_id   text,
    ttl        interval DEFAULT '60 seconds')
RETURNS uuid
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_open_turn';
COMMENT ON FUNCTION @extschema@.actor_open_turn(text, text, interval)
    IS 'opens the turn of an actor to all calls that bring the reentrancy id it returns';

CREATE FUNCTION @extschema@.actor_close_turn(
    actor_type    text,
    actor_id      text,
    reentrancy_id uuid)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_close_turn';
COMMENT ON FUNCTION @extschema@.actor_close_turn(text, text, uuid)
    IS 'closes an open turn; true if it was open to that id, which the owner of the type need not give';

/*
 * Reminders
 */

CREATE FUNCTION @extschema@.actor_set_reminder(
    actor_type     text,
    actor_id       text,
    name           text,
    due_time       text DEFAULT NULL,
    period         text DEFAULT NULL,
    ttl            text DEFAULT NULL,
    data           jsonb DEFAULT NULL,
    method         text DEFAULT NULL,
    failure_policy jsonb DEFAULT NULL,
    catch_up       text DEFAULT 'one',
    overwrite      boolean DEFAULT true)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_set_reminder';
COMMENT ON FUNCTION @extschema@.actor_set_reminder(text, text, text, text, text, text, jsonb, text, jsonb, text, boolean)
    IS 'registers or replaces a reminder; due time, period and ttl as Dapr writes them';

CREATE FUNCTION @extschema@.actor_set_reminder(
    actor_type     text,
    actor_id       text,
    name           text,
    due_time       timestamptz,
    period         interval DEFAULT NULL,
    ttl            interval DEFAULT NULL,
    data           jsonb DEFAULT NULL,
    method         text DEFAULT NULL,
    failure_policy jsonb DEFAULT NULL,
    catch_up       text DEFAULT 'one',
    overwrite      boolean DEFAULT true,
    firings        integer DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_set_reminder_at';
COMMENT ON FUNCTION @extschema@.actor_set_reminder(text, text, text, timestamptz, interval, interval, jsonb, text, jsonb, text, boolean, integer)
    IS 'registers or replaces a reminder that is due at an instant';

CREATE FUNCTION @extschema@.actor_set_reminder(
    actor_type     text,
    actor_id       text,
    name           text,
    due_time       interval,
    period         interval DEFAULT NULL,
    ttl            interval DEFAULT NULL,
    data           jsonb DEFAULT NULL,
    method         text DEFAULT NULL,
    failure_policy jsonb DEFAULT NULL,
    catch_up       text DEFAULT 'one',
    overwrite      boolean DEFAULT true,
    firings        integer DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_set_reminder_in';
COMMENT ON FUNCTION @extschema@.actor_set_reminder(text, text, text, interval, interval, interval, jsonb, text, jsonb, text, boolean, integer)
    IS 'registers or replaces a reminder that is due after a time';

CREATE FUNCTION @extschema@.actor_set_reminder(
    actor_type     text,
    actor_id       text,
    name           text,
    due_time       text,
    period         interval,
    ttl            interval DEFAULT NULL,
    data           jsonb DEFAULT NULL,
    method         text DEFAULT NULL,
    failure_policy jsonb DEFAULT NULL,
    catch_up       text DEFAULT 'one',
    overwrite      boolean DEFAULT true,
    firings        integer DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_set_reminder_text';
COMMENT ON FUNCTION @extschema@.actor_set_reminder(text, text, text, text, interval, interval, jsonb, text, jsonb, text, boolean, integer)
    IS 'registers or replaces a reminder with a due time as Dapr writes it, and intervals';

CREATE FUNCTION @extschema@.actor_get_reminder(
    actor_type text,
    actor_id   text,
    name       text)
RETURNS jsonb
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_get_reminder';
COMMENT ON FUNCTION @extschema@.actor_get_reminder(text, text, text)
    IS 'a reminder as registered, and its next firing; NULL when absent';

CREATE FUNCTION @extschema@.actor_delete_reminder(
    actor_type text,
    actor_id   text,
    name       text)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_delete_reminder';
COMMENT ON FUNCTION @extschema@.actor_delete_reminder(text, text, text)
    IS 'removes a reminder; true if there was one';

CREATE FUNCTION @extschema@.actor_delete_reminders(
    actor_type text,
    actor_id   text DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_delete_reminders';
COMMENT ON FUNCTION @extschema@.actor_delete_reminders(text, text)
    IS 'removes all reminders of an actor or, without an id, of a type; the number removed';

CREATE FUNCTION @extschema@.actor_run_due(until timestamptz DEFAULT clock_timestamp())
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_run_due';
COMMENT ON FUNCTION @extschema@.actor_run_due(timestamptz)
    IS 'for tests: fires in this session and transaction what is due until then and belongs to the current user; the number of firings';

CREATE FUNCTION @extschema@.actor_retry(failure_id bigint)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_retry';
COMMENT ON FUNCTION @extschema@.actor_retry(bigint)
    IS 'makes a call once more that was given up; true if there is such a failure';

CREATE FUNCTION @extschema@.actor_discard(failure_id bigint)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_discard';
COMMENT ON FUNCTION @extschema@.actor_discard(bigint)
    IS 'removes the record of a failure; true if there was one';

CREATE FUNCTION @extschema@.actor_reassign(old_role name, new_role name)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_reassign';
COMMENT ON FUNCTION @extschema@.actor_reassign(name, name)
    IS 'moves the reminders and timers of a role to another one; the number moved';

/*
 * Timers
 */

CREATE FUNCTION @extschema@.actor_set_timer(
    actor_type text,
    actor_id   text,
    name       text,
    due_time   text DEFAULT NULL,
    period     text DEFAULT NULL,
    ttl        text DEFAULT NULL,
    data       jsonb DEFAULT NULL,
    method     text DEFAULT NULL,
    overwrite  boolean DEFAULT true)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_set_timer';
COMMENT ON FUNCTION @extschema@.actor_set_timer(text, text, text, text, text, text, jsonb, text, boolean)
    IS 'activates an actor and registers or replaces a timer; due time, period and ttl as Dapr writes them';

CREATE FUNCTION @extschema@.actor_set_timer(
    actor_type text,
    actor_id   text,
    name       text,
    due_time   timestamptz,
    period     interval DEFAULT NULL,
    ttl        interval DEFAULT NULL,
    data       jsonb DEFAULT NULL,
    method     text DEFAULT NULL,
    overwrite  boolean DEFAULT true,
    firings    integer DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_set_timer_at';
COMMENT ON FUNCTION @extschema@.actor_set_timer(text, text, text, timestamptz, interval, interval, jsonb, text, boolean, integer)
    IS 'activates an actor and registers or replaces a timer that is due at an instant';

CREATE FUNCTION @extschema@.actor_set_timer(
    actor_type text,
    actor_id   text,
    name       text,
    due_time   interval,
    period     interval DEFAULT NULL,
    ttl        interval DEFAULT NULL,
    data       jsonb DEFAULT NULL,
    method     text DEFAULT NULL,
    overwrite  boolean DEFAULT true,
    firings    integer DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_set_timer_in';
COMMENT ON FUNCTION @extschema@.actor_set_timer(text, text, text, interval, interval, interval, jsonb, text, boolean, integer)
    IS 'activates an actor and registers or replaces a timer that is due after a time';

CREATE FUNCTION @extschema@.actor_set_timer(
    actor_type text,
    actor_id   text,
    name       text,
    due_time   text,
    period     interval,
    ttl        interval DEFAULT NULL,
    data       jsonb DEFAULT NULL,
    method     text DEFAULT NULL,
    overwrite  boolean DEFAULT true,
    firings    integer DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_set_timer_text';
COMMENT ON FUNCTION @extschema@.actor_set_timer(text, text, text, text, interval, interval, jsonb, text, boolean, integer)
    IS 'activates an actor and registers or replaces a timer with a due time as Dapr writes it, and intervals';

CREATE FUNCTION @extschema@.actor_get_timer(
    actor_type text,
    actor_id   text,
    name       text)
RETURNS jsonb
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_get_timer';
COMMENT ON FUNCTION @extschema@.actor_get_timer(text, text, text)
    IS 'a timer as registered, and its next firing; NULL when absent';

CREATE FUNCTION @extschema@.actor_delete_timer(
    actor_type text,
    actor_id   text,
    name       text)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_delete_timer';
COMMENT ON FUNCTION @extschema@.actor_delete_timer(text, text, text)
    IS 'removes a timer; true if there was one';

/*
 * Messages
 */

CREATE FUNCTION @extschema@.actor_send(
    actor_type text,
    actor_id   text,
    method     text,
    payload    jsonb DEFAULT NULL,
    due_time   text DEFAULT NULL,
    request_id text DEFAULT NULL,
    failure_policy jsonb DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_send';
COMMENT ON FUNCTION @extschema@.actor_send(text, text, text, jsonb, text, text, jsonb)
    IS 'sends a message, which calls a method of an actor once this transaction has committed; returns its id';

CREATE FUNCTION @extschema@.actor_send(
    actor_type text,
    actor_id   text,
    method     text,
    payload    jsonb,
    due_time   timestamptz,
    request_id text DEFAULT NULL,
    failure_policy jsonb DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_send_at';
COMMENT ON FUNCTION @extschema@.actor_send(text, text, text, jsonb, timestamptz, text, jsonb)
    IS 'sends a message that is due at an instant; returns its id';

CREATE FUNCTION @extschema@.actor_send(
    actor_type text,
    actor_id   text,
    method     text,
    payload    jsonb,
    due_time   interval,
    request_id text DEFAULT NULL,
    failure_policy jsonb DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_send_in';
COMMENT ON FUNCTION @extschema@.actor_send(text, text, text, jsonb, interval, text, jsonb)
    IS 'sends a message that is due after a time; returns its id';

CREATE FUNCTION @extschema@.actor_cancel_message(
    actor_type text,
    actor_id   text,
    message_id bigint)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_cancel_message';
COMMENT ON FUNCTION @extschema@.actor_cancel_message(text, text, bigint)
    IS 'removes a message that has not been delivered; true if there was one';

CREATE FUNCTION @extschema@.actor_result(
    actor_type      text,
    actor_id        text,
    request_id      text,
    OUT state       text,
    OUT result      jsonb,
    OUT error       jsonb,
    OUT finished_at timestamptz)
RETURNS record
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_result';
COMMENT ON FUNCTION @extschema@.actor_result(text, text, text)
    IS 'what has become of a message or call with a request id; all NULL: there is none';

CREATE FUNCTION @extschema@.actor_wait(
    actor_type      text,
    actor_id        text,
    request_id      text,
    timeout         interval DEFAULT '60 seconds',
    OUT state       text,
    OUT result      jsonb,
    OUT error       jsonb,
    OUT finished_at timestamptz)
RETURNS record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_wait';
COMMENT ON FUNCTION @extschema@.actor_wait(text, text, text, interval)
    IS 'waits until a message with a request id is no longer pending, or the time is over, and says what has become of it';

CREATE FUNCTION @extschema@.actor_promise(
    method text,
    ttl    interval DEFAULT NULL,
    data   jsonb DEFAULT NULL)
RETURNS uuid
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_promise';
COMMENT ON FUNCTION @extschema@.actor_promise(text, interval, jsonb)
    IS 'makes a promise of the running actor; whoever has the token it returns can answer with a message';

CREATE FUNCTION @extschema@.actor_resolve(token uuid, value jsonb DEFAULT NULL)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_resolve';
COMMENT ON FUNCTION @extschema@.actor_resolve(uuid, jsonb)
    IS 'resolves a promise, once, with a message to the actor that made it; true if it was open';

CREATE FUNCTION @extschema@.actor_reject(token uuid, value jsonb DEFAULT NULL)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_reject';
COMMENT ON FUNCTION @extschema@.actor_reject(uuid, jsonb)
    IS 'rejects a promise, once, with a message to the actor that made it; true if it was open';

CREATE FUNCTION @extschema@.actor_each(
    actor_type text,
    method     text,
    payload    jsonb DEFAULT NULL,
    batch      integer DEFAULT 1000)
RETURNS uuid
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_each';
COMMENT ON FUNCTION @extschema@.actor_each(text, text, jsonb, integer)
    IS 'sends a message to each actor of a type, in batches, by workers; returns its id in actor.each';

CREATE FUNCTION @extschema@.actor_each_stop(each_id uuid)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_each_stop';
COMMENT ON FUNCTION @extschema@.actor_each_stop(uuid)
    IS 'stops sending to each actor of a type; true if it was not finished';

/*
 * Publishing and subscribing
 */

CREATE FUNCTION @extschema@.actor_subscribe(
    topic          text,
    actor_type     text,
    actor_id       text,
    method         text,
    topic_type     text DEFAULT NULL,
    topic_id       text DEFAULT NULL,
    failure_policy jsonb DEFAULT NULL)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_subscribe';
COMMENT ON FUNCTION @extschema@.actor_subscribe(text, text, text, text, text, text, jsonb)
    IS 'lets an actor get the events of a topic as messages; true if it did not before';

CREATE FUNCTION @extschema@.actor_unsubscribe(
    topic      text,
    actor_type text,
    actor_id   text,
    topic_type text DEFAULT NULL,
    topic_id   text DEFAULT NULL)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_unsubscribe';
COMMENT ON FUNCTION @extschema@.actor_unsubscribe(text, text, text, text, text)
    IS 'ends the subscription of an actor to a topic; true if there was one';

CREATE FUNCTION @extschema@.actor_publish(
    topic      text,
    payload    jsonb DEFAULT NULL,
    topic_type text DEFAULT NULL,
    topic_id   text DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_publish';
COMMENT ON FUNCTION @extschema@.actor_publish(text, jsonb, text, text)
    IS 'publishes an event, which all subscribers get once this transaction has committed; returns its number, NULL if it is not kept';

CREATE FUNCTION @extschema@.actor_keep_events(
    actor_type text,
    topic      text,
    retention  interval)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_keep_events';
COMMENT ON FUNCTION @extschema@.actor_keep_events(text, text, interval)
    IS 'keeps the events of a topic of a type and of its actors for a time; NULL: keeps them no more';

CREATE FUNCTION @extschema@.actor_events(
    topic            text,
    topic_type       text DEFAULT NULL,
    topic_id         text DEFAULT NULL,
    after            bigint DEFAULT 0,
    max_rows         integer DEFAULT 1000,
    OUT event_id     bigint,
    OUT published_at timestamptz,
    OUT payload      jsonb)
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_events';
COMMENT ON FUNCTION @extschema@.actor_events(text, text, text, bigint, integer)
    IS 'events of a topic that are kept, in their order, after one of them';

CREATE FUNCTION actor.event_source(
    topic          text,
    topic_type     text,
    topic_id       text DEFAULT NULL,
    OUT kept       boolean,
    OUT last_event bigint,
    OUT notified   text)
RETURNS record
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_event_source';
COMMENT ON FUNCTION actor.event_source(text, text, text)
    IS 'whether events of a topic are kept, the number of the last one, and what a notification of channel actor_event has for another one';

/*
 * Schedules
 */

CREATE FUNCTION @extschema@.actor_schedule_preview(
    due_time      text,
    period        text,
    ttl           text,
    count         integer DEFAULT 5,
    registered_at timestamptz DEFAULT now(),
    OUT scheduled_at timestamptz,
    OUT local_time   timestamp,
    OUT time_zone    text)
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'actor_schedule_preview';
COMMENT ON FUNCTION @extschema@.actor_schedule_preview(text, text, text, integer, timestamptz)
    IS 'the first instants of a schedule, and what a clock shows then, without registering it';

/*
 * Watching
 */

CREATE FUNCTION @extschema@.actor_stat_reset()
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_stat_reset';
COMMENT ON FUNCTION @extschema@.actor_stat_reset()
    IS 'sets the counters of this database back to zero';

CREATE FUNCTION @extschema@.actor_doctor(
    OUT check_name text,
    OUT ok         boolean,
    OUT detail     text,
    OUT hint       text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_doctor';
COMMENT ON FUNCTION @extschema@.actor_doctor()
    IS 'checks everything that can keep reminders from firing';

CREATE FUNCTION @extschema@.actor_find(
    actor_type text,
    prefix     text DEFAULT '',
    after      text DEFAULT NULL,
    max_rows   integer DEFAULT 100,
    OUT actor_id text,
    OUT active   boolean,
    OUT paused   boolean,
    OUT failed   boolean)
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_find';
COMMENT ON FUNCTION @extschema@.actor_find(text, text, text, integer)
    IS 'actors of a type of which there is anything, in bytewise order of ids: those that begin with the prefix and come after that id; for the owner of the type and pg_monitor';

CREATE FUNCTION @extschema@.actor_due(
    until            timestamptz DEFAULT clock_timestamp(),
    max_rows         integer DEFAULT 100,
    since            timestamptz DEFAULT '-infinity',
    min_attempt      integer DEFAULT 1,
    OUT kind         text,
    OUT actor_type   text,
    OUT actor_id     text,
    OUT name         text,
    OUT method       text,
    OUT role_name    name,
    OUT scheduled_at timestamptz,
    OUT next_try_at  timestamptz,
    OUT attempt      integer,
    OUT deferrals    integer)
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_due';
COMMENT ON FUNCTION @extschema@.actor_due(timestamptz, integer, timestamptz, integer)
    IS 'the first rows of actor.pending that are tried from since until then, what is tried first at the top, or those of which an attempt has failed; found by the indexes';

CREATE FUNCTION @extschema@.actor_due_counts(
    step          interval DEFAULT '15 minutes',
    steps         integer DEFAULT 96,
    OUT kind      text,
    OUT due_from  timestamptz,
    OUT due_until timestamptz,
    OUT due       bigint,
    OUT estimated boolean)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_due_counts';
COMMENT ON FUNCTION @extschema@.actor_due_counts(interval, integer)
    IS 'how many reminders, timers and messages are tried in each of the next steps, and before now; where there are too many to count, as a sample tells';

CREATE FUNCTION @extschema@.actor_metrics()
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_metrics';
COMMENT ON FUNCTION @extschema@.actor_metrics()
    IS 'counters of this database as Prometheus reads them';

CREATE FUNCTION actor.clean_session()
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_clean_session';
COMMENT ON FUNCTION actor.clean_session()
    IS 'removes what others have left in this session, as DISCARD ALL does, but for plans; for pools of connections';

CREATE FUNCTION actor.keep_session_clean()
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_keep_session_clean';
COMMENT ON FUNCTION actor.keep_session_clean()
    IS 'actor.clean_session now and, as far as that needs no transaction, after each transaction; the parameter actor.session tells whether it does';

/*
 * Hosts of applications, which have the methods of hosted types.  All of these
 * are for programs that are hosts, as roles with the rights of the types' owners.
 */

CREATE FUNCTION actor.host_join(
    host_id     uuid,
    app_id      text,
    app_address text,
    address     text,
    actor_types text[])
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_host_join';
COMMENT ON FUNCTION actor.host_join(uuid, text, text, text, text[])
    IS 'makes this session that of a host, which lives as long as the session; returns what hosts know each other by';

CREATE FUNCTION actor.host_leave(host_id uuid)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_host_leave';
COMMENT ON FUNCTION actor.host_leave(uuid)
    IS 'ends what actor.host_join() of this session has begun';

CREATE FUNCTION actor.host_report(host_id uuid, reachable boolean)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_host_report';
COMMENT ON FUNCTION actor.host_report(uuid, boolean)
    IS 'writes down whether the application of a host answers; while it does not nothing is placed there';

CREATE FUNCTION actor.host_left_behind(
    host_id        uuid,
    OUT actor_type text,
    OUT actor_id   text,
    OUT held_from  uuid)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_host_left_behind';
COMMENT ON FUNCTION actor.host_left_behind(uuid)
    IS 'actors that the application of a host may still have from hosts before it that are gone';

CREATE FUNCTION actor.host_moving(
    host_id        uuid,
    OUT actor_type text,
    OUT actor_id   text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_host_moving';
COMMENT ON FUNCTION actor.host_moving(uuid)
    IS 'actors of a host that would be placed at another one now';

CREATE FUNCTION actor.host_forget_all(host_id uuid)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_host_forget_all';
COMMENT ON FUNCTION actor.host_forget_all(uuid)
    IS 'removes the placements at a host whose application has nothing in its memory, and at those before it; the number removed';

CREATE FUNCTION actor.host_secret(actor_type text)
RETURNS text
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_host_secret';
COMMENT ON FUNCTION actor.host_secret(text)
    IS 'text by which hosts of a type know each other; NULL: the current role may not host it';

CREATE FUNCTION actor.host_may_call(actor_type text, method text)
RETURNS text
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_host_may_call';
COMMENT ON FUNCTION actor.host_may_call(text, text)
    IS 'hosted or function: who has a method that the current role may call; raises what the call would raise';

CREATE FUNCTION actor.host_place(
    host_id     uuid,
    actor_type  text,
    actor_id    text,
    OUT at_host uuid,
    OUT address text,
    OUT token   uuid)
RETURNS record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_host_place';
COMMENT ON FUNCTION actor.host_place(uuid, text, text)
    IS 'the host of an actor, which is chosen if it has none that lives; a transaction of its own';

CREATE FUNCTION actor.host_enter(
    host_id          uuid,
    actor_type       text,
    actor_id         text,
    method           text,
    token            uuid DEFAULT NULL,
    reentrancy_id    uuid DEFAULT NULL,
    request_id       text DEFAULT NULL,
    body_hash        bytea DEFAULT NULL,
    caller           name DEFAULT NULL,
    OUT action       text,
    OUT frame        integer,
    OUT at_host      uuid,
    OUT address      text,
    OUT current      uuid,
    OUT anew         boolean,
    OUT held_from    uuid,
    OUT status       integer,
    OUT content_type text,
    OUT headers      jsonb,
    OUT body         bytea)
RETURNS record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_host_enter';
COMMENT ON FUNCTION actor.host_enter(uuid, text, text, text, uuid, uuid, text, bytea, name)
    IS 'begins a method of an application in the turn of the actor, and says what is to be done: run, stale, elsewhere, unplaced, function or answered';

CREATE FUNCTION actor.host_exit(
    frame        integer,
    status       integer DEFAULT 200,
    content_type text DEFAULT NULL,
    headers      jsonb DEFAULT NULL,
    body         bytea DEFAULT NULL,
    commits      boolean DEFAULT false)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_host_exit';
COMMENT ON FUNCTION actor.host_exit(integer, integer, text, jsonb, bytea, boolean)
    IS 'ends a method of an application that has returned; keeps its answer if the call has a request id, and commits if it is to';

CREATE FUNCTION actor.host_enter_to_end(
    host_id    uuid,
    actor_type text,
    actor_id   text,
    if_idle    boolean DEFAULT false,
    OUT frame  integer,
    OUT stale  boolean)
RETURNS record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_host_enter_to_end';
COMMENT ON FUNCTION actor.host_enter_to_end(uuid, text, text, boolean)
    IS 'takes the turn of an actor that the application is to forget, and says whether what that has is out of date; no frame: it is not to, now';

CREATE FUNCTION actor.host_end(frame integer)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_host_end';
COMMENT ON FUNCTION actor.host_end(integer)
    IS 'deactivates the actor that the application has forgotten, and removes its placement';

CREATE PROCEDURE actor.host_wait(
    host_id    uuid,
    wait_until timestamptz DEFAULT NULL,
    skip       bigint[] DEFAULT NULL,
    max_rows   integer DEFAULT 100,
    INOUT due  jsonb DEFAULT NULL)
LANGUAGE c
AS 'MODULE_PATHNAME', 'actor_host_wait';
COMMENT ON PROCEDURE actor.host_wait(uuid, timestamptz, bigint[], integer, jsonb)
    IS 'waits until a host has something to do, at most until then, and says what; skip has the keys of what it has in its hands';

CREATE FUNCTION actor.host_claim(
    host_id         uuid,
    token           uuid,
    due             jsonb,
    OUT action      text,
    OUT frame       integer,
    OUT at_host     uuid,
    OUT address     text,
    OUT current     uuid,
    OUT anew        boolean,
    OUT held_from   uuid,
    OUT method      text,
    OUT name        text,
    OUT data        jsonb,
    OUT due_time    text,
    OUT period      text,
    OUT traceparent text,
    OUT attempt     integer)
RETURNS record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_host_claim';
COMMENT ON FUNCTION actor.host_claim(uuid, uuid, jsonb)
    IS 'claims a row that actor.host_wait() has found, and begins its method: run, stale, elsewhere, unplaced, busy, gone or failed';

CREATE FUNCTION actor.host_fired(frame integer)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_host_fired';
COMMENT ON FUNCTION actor.host_fired(integer)
    IS 'ends a method that was called for what was due, and has returned';

CREATE FUNCTION actor.host_failed(
    frame    integer,
    sqlstate text DEFAULT '38000',
    message  text DEFAULT NULL,
    detail   text DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_host_failed';
COMMENT ON FUNCTION actor.host_failed(integer, text, text, text)
    IS 'ends a method that was called for what was due, and has failed and is rolled back';

/*
 * Rights, all of them.  What default privileges have granted on our objects, or
 * taken away, is undone first: our tables are written by the library only, and
 * a trigger on one of them would run as its owner.
 */

CREATE FUNCTION actor.reset_rights()
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_reset_rights';
SELECT actor.reset_rights();
DROP FUNCTION actor.reset_rights();

GRANT USAGE ON SCHEMA actor TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA actor TO PUBLIC;
-- pg_dump reads them
GRANT SELECT ON ALL SEQUENCES IN SCHEMA actor TO pg_database_owner;

REVOKE ALL ON FUNCTION @extschema@.actor_stat_reset(), @extschema@.actor_doctor(),
    @extschema@.actor_metrics(), actor.get_gauges(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.actor_doctor(), @extschema@.actor_metrics(),
    actor.get_gauges(text) TO pg_monitor;
