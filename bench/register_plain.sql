\set id random(1, 1000000000)
INSERT INTO rival.reminder (actor_type, actor_id, name, method, due_time, catch_up, role_name,
    generation, registered_at, first_at, firings, time_zone, firing, scheduled_at,
    next_try_at, remaining, attempt, deferrals, fired, hosted)
VALUES ('bench', :id, 'noop', 'noop', '24h', 'one', 'bench',
    1, now(), now() + interval '24h', 1, 'UTC', 0, now() + interval '24h',
    now() + interval '24h', 1, 1, 0, 0, false)
ON CONFLICT DO NOTHING;
