--
-- Creates the extension, the roles and the helpers that all files share.
--

-- as it is from PostgreSQL 15 on
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
-- the script is for CREATE EXTENSION only, and takes no schema that somebody
-- has prepared
CREATE SCHEMA actor;
CREATE EXTENSION actor;
\echo :LAST_ERROR_SQLSTATE
DROP SCHEMA actor;

CREATE EXTENSION actor;
SELECT extname, extversion, extrelocatable, extnamespace::regnamespace AS schema
  FROM pg_extension WHERE extname = 'actor';

-- every object has a comment
SELECT pg_describe_object(classid, objid, objsubid) AS without_comment
  FROM pg_depend
 WHERE refclassid = 'pg_extension'::regclass
   AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'actor')
   AND deptype = 'e'
   AND classid IN ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_namespace'::regclass)
   AND obj_description(objid, classid::regclass::name) IS NULL
   AND objid NOT IN (SELECT oid FROM pg_class WHERE relkind = 'S')
 ORDER BY 1;

-- and so has every column of its tables and views, for \d+, and every argument
-- has a name, for \df
SELECT c.relname, a.attname AS without_comment
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = 'actor'::regnamespace AND c.relkind IN ('r', 'v')
   AND a.attnum > 0 AND NOT a.attisdropped
   AND col_description(c.oid, a.attnum) IS NULL
 ORDER BY 1, 2;
SELECT p.oid::regprocedure AS without_names
  FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
   AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'actor')
   AND p.pronargs > 0 AND (p.proargnames IS NULL OR '' = ANY (p.proargnames))
 ORDER BY 1;

-- nothing of it may run in a parallel worker, but the preview
SELECT p.proname, p.proparallel
  FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
   AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'actor')
   AND p.proparallel <> 'u'
 ORDER BY 1;

-- the settings
SELECT name, boot_val AS setting, unit, context, vartype
  FROM pg_settings WHERE name LIKE 'actor.%' AND name <> 'actor.max_workers'
 ORDER BY name;
SET actor.call_timeout = '-1';
SET actor.max_turns_per_transaction = 0;
SET actor.reentrancy = on;

-- roles: the owner of most types, a role that is granted what it needs, and a
-- role that nobody has granted anything
CREATE ROLE regress_actor_owner LOGIN;
CREATE ROLE regress_actor_granted LOGIN;
CREATE ROLE regress_actor_stranger LOGIN;
CREATE ROLE regress_actor_nologin;

SELECT current_database() AS dbname \gset
GRANT CREATE ON DATABASE :"dbname" TO regress_actor_owner, regress_actor_stranger;

-- how a statement is refused
CREATE FUNCTION refusal(statement text, OUT state text, OUT message text,
                        OUT detail text, OUT hint text)
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE statement;
    message := 'taken';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE,
                            message = MESSAGE_TEXT,
                            detail = PG_EXCEPTION_DETAIL,
                            hint = PG_EXCEPTION_HINT;
END
$$;

-- how many turns this session's transaction holds
CREATE FUNCTION held_turns()
RETURNS bigint
LANGUAGE sql
AS $$
    SELECT pg_catalog.count(*)
      FROM pg_catalog.pg_locks
     WHERE locktype = 'advisory' AND objsubid = 19143 AND granted
       AND pid = pg_catalog.pg_backend_pid()
$$;

-- what lies about an actor can be split by the id of the actor: the columns have one
-- type, all that is unique has them, and nothing ties one actor to another one
SELECT c.oid::regclass AS split_by_no_actor FROM pg_class c
 WHERE relnamespace = 'actor'::regnamespace AND relkind = 'r'
   AND NOT EXISTS (SELECT FROM pg_attribute
                    WHERE attrelid = c.oid AND attname = 'actor_id' AND attnotnull
                      AND atttypid = 'text'::regtype AND attcollation = '"C"'::regcollation)
 ORDER BY relname;
SELECT indexrelid::regclass AS unique_without_actor
  FROM pg_index i JOIN pg_class c ON c.oid = indrelid
 WHERE relnamespace = 'actor'::regnamespace AND indisunique
   AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'actor_id')
   AND NOT EXISTS (SELECT FROM pg_attribute a
                    WHERE attrelid = c.oid AND attname = 'actor_id' AND attnum = ANY (indkey));
SELECT c.oid::regclass AS without_primary_key FROM pg_class c
 WHERE relnamespace = 'actor'::regnamespace AND relkind = 'r'
   AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary);
SELECT conrelid::regclass, conname AS tie FROM pg_constraint
 WHERE connamespace = 'actor'::regnamespace AND contype IN ('f', 'x');

-- what a session must look like when nothing runs
CREATE FUNCTION at_rest()
RETURNS boolean
LANGUAGE sql
AS $$
    SELECT actor_type() IS NULL AND actor_id() IS NULL AND actor_method() IS NULL
       AND actor_reentrancy_id() IS NULL AND actor_cause() IS NULL
       AND NOT EXISTS (SELECT FROM actor_call_chain())
       AND held_turns() = 0
       AND pg_catalog.current_setting('transaction_read_only') = 'off'
$$;

-- waits until a query returns true
CREATE PROCEDURE wait_until(condition text)
LANGUAGE plpgsql
AS $$
DECLARE
    deadline timestamptz := clock_timestamp() + interval '60 seconds';
    done boolean;
BEGIN
    LOOP
        EXECUTE condition INTO done;
        COMMIT;
        EXIT WHEN done;
        IF clock_timestamp() > deadline THEN
            RAISE EXCEPTION 'timed out: %', condition;
        END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
END
$$;

SELECT at_rest();
