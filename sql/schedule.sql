--
-- Schedules: what due_time, period and ttl mean, and what is refused.
--
-- Everything here goes through actor_schedule_preview, with fixed instants of
-- registration, so that nothing depends on the clock.
--
SET TIME ZONE 'UTC';
SET datestyle = 'ISO, YMD';

-- the first firings of a schedule, or "none"
CREATE FUNCTION schedule_firings(due_time text, period text, ttl text,
                                 count int, registered_at timestamptz)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    firings text;
BEGIN
    SELECT string_agg(at::text, ', ' ORDER BY number)
    INTO firings
    FROM actor_schedule_preview(due_time, period, ttl, count, registered_at)
         WITH ORDINALITY AS firing (at, local_time, time_zone, number);
    RETURN coalesce(firings, 'none');
END
$$;

-- how a schedule is refused
CREATE FUNCTION schedule_refusal(due_time text, period text, ttl text,
                                 OUT state text, OUT message text,
                                 OUT detail text, OUT hint text)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM actor_schedule_preview(due_time, period, ttl, 1,
                                   '2024-01-01 12:00:00+00');
    message := 'taken';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE,
                            message = MESSAGE_TEXT,
                            detail = PG_EXCEPTION_DETAIL,
                            hint = PG_EXCEPTION_HINT;
END
$$;

\pset null '(null)'

--
-- All three together, registered at noon
--
SELECT due_time, period, ttl,
       schedule_firings(due_time, period, ttl, 4, '2024-01-01 12:00:00+00') AS firings
FROM (VALUES
    -- nothing is one firing at once, a period alone fires at once too
    (1, NULL, NULL, NULL),
    (2, '', '', ''),
    (3, NULL, '1h', NULL),
    (4, '10s', NULL, NULL),
    (5, '0', NULL, NULL),
    -- as in Dapr's documents
    (6, '0h0m9s0ms', '0h0m3s0ms', NULL),
    (7, '2s', 'R10/PT3S', NULL),
    (8, NULL, 'PT3S', '20s'),
    (9, '10s', 'R4/PT3S', '10s'),
    -- the count or the ttl, whichever ends first
    (10, '10s', 'R2/PT3S', '10s'),
    (11, '10s', 'R4/PT3S', '4s'),
    (12, NULL, 'R1/PT3S', NULL),
    -- a firing at the expiry does not happen, one just before it does
    (13, '10s', '3s', '6s'),
    (14, '10s', '3s', '6.000001s'),
    (15, '10s', '3s', '1us'),
    -- a ttl counts from the first firing, a timestamp does not
    (16, '1h', '1h', '2h'),
    (17, '1h', '1h', '2024-01-01T14:00:00Z'),
    (18, '1h', '1h', '2024-01-01T14:00:00.000001Z'),
    -- a past due time anchors the grid
    (19, '2023-12-31T23:00:00Z', '4h', NULL),
    (20, '2023-12-31T23:00:00Z', NULL, '1h')
) AS t (n, due_time, period, ttl)
ORDER BY n;

-- no more than there are, no more than asked for
SELECT count(*) FROM actor_schedule_preview(NULL, 'R10/PT3S', NULL, 100, '2024-01-01 12:00:00+00');
SELECT count(*) FROM actor_schedule_preview(NULL, 'PT3S', '20s', 100, '2024-01-01 12:00:00+00');
SELECT count(*) FROM actor_schedule_preview(NULL, 'PT3S', NULL, 100, '2024-01-01 12:00:00+00');
SELECT * FROM actor_schedule_preview('10s', '1m', NULL, registered_at => '2024-01-01 12:00:00+00');

--
-- Forms of a due time
--
SELECT due_time,
       schedule_firings(due_time, NULL, NULL, 2, '2024-01-01 12:00:00+00') AS firing
FROM (VALUES
    -- RFC 3339; digits below a microsecond are dropped
    (101, '2030-01-31T09:00:00Z'),
    (102, '2030-01-31T09:00:00+00:00'),
    (103, '2030-01-31T09:00:00-00:00'),
    (104, '2030-01-31T09:00:00+05:45'),
    (105, '2030-01-31T09:00:00-23:59'),
    (106, '2030-01-31T09:00:00+23:59'),
    (107, '2030-01-31T23:59:59.9Z'),
    (108, '2030-01-31T23:59:59.999999Z'),
    (109, '2030-01-31T23:59:59.999999999Z'),
    (110, '2030-01-31T23:59:59.000000001Z'),
    (111, '2024-02-29T00:00:00Z'),
    (112, '2000-02-29T00:00:00Z'),
    (113, '0001-01-01T00:00:00Z'),
    (114, '0001-01-01T00:00:00+23:59'),
    (115, '9999-12-31T23:59:59.999999Z'),
    -- Go durations
    (201, '1h30m'),
    (202, '1.5h'),
    (203, '.5s'),
    (204, '1.s'),
    (205, '250ms'),
    (206, '1500us'),
    (207, '1999ns'),
    (208, '1ns'),
    (209, '+5s'),
    (210, '-0'),
    (211, '+0'),
    (212, '-0s'),
    (213, '0.0h'),
    (214, '5s1h'),
    (215, '1s1s1s'),
    (216, '0000000000000000000000000000001s'),
    (217, '0.3333333333333333333333333333h'),
    (218, '2562047h47m16.854775807s'),
    -- ISO 8601 durations
    (301, 'P1Y2M3W4DT5H6M7S'),
    (302, 'P1M'),
    (303, 'PT1M'),
    (304, 'P1W'),
    (305, 'P1WT1S'),
    (306, 'PT36H'),
    (307, 'P0D'),
    (308, 'PT0S'),
    (309, 'P01DT02H'),
    -- intervals
    (401, '5 minutes'),
    (402, '1 minute'),
    (403, '1 day 2 hours'),
    (404, '2 hours 1 day'),
    (405, '1.5 hours'),
    (406, '.5 hours'),
    (407, '1 year 1 mon 1 week 1 day 1 hour 1 minute 1 second 1 millisecond 1 microsecond'),
    (408, '2 years 2 mons 2 weeks 2 days 2 hours 2 minutes 2 seconds 2 milliseconds 2 microseconds'),
    (409, '1 month'),
    (410, '2 months'),
    (411, '0 days'),
    (412, '1.0000019 seconds'),
    (413, '3000000 hours'),
    (414, '5 min'),
    (415, '1 hour 2 mins 3 secs'),
    (416, '0 years 0 mons 1 days 1 hours 30 mins 0.5 secs'),
    -- as the server prints intervals and timestamps
    (501, '01:30:00'),
    (502, '00:00:00.000001'),
    (503, '1 day 02:00:00'),
    (504, '1 year 2 mons 3 days 04:05:06.789'),
    (505, '123:00:00'),
    (506, '00:00:00'),
    (507, '2030-01-31 09:00:00+00'),
    (508, '2030-01-31 09:00:00.25-08'),
    (509, '2030-01-31 09:00:00+05:45'),
    (510, '1890-01-31 09:00:00+00:53:28'),
    (511, '2030-01-31 09:00:00Z'),
    (512, '2030-01-31 09:00:00+01:00')
) AS t (n, due_time)
ORDER BY n;

-- in UTF-8 micro sign and Greek mu can be written
SELECT mu,
       CASE WHEN getdatabaseencoding() = 'UTF8'
            THEN schedule_firings('1500' || chr(mu) || 's', NULL, NULL, 1, '2024-01-01 12:00:00+00')
            ELSE '2024-01-01 12:00:00.0015+00' END AS firing
FROM (VALUES (181), (956)) AS t (mu)
ORDER BY mu;

--
-- The calendar, in UTC
--
SELECT due_time, period, ttl,
       schedule_firings(due_time, period, ttl, 5, '2024-01-01 12:00:00+00') AS firings
FROM (VALUES
    -- month ends clamp, and do not drift
    (501, '2024-01-31T09:00:00Z', 'P1M', NULL),
    (502, '2023-01-31T09:00:00Z', '1 month', NULL),
    (503, '2023-11-30T09:00:00Z', 'P3M', NULL),
    (504, '2024-12-31T09:00:00Z', 'P1M1D', NULL),
    -- leap days
    (505, '2024-02-29T09:00:00Z', 'P1Y', NULL),
    (506, '1896-02-29T09:00:00Z', 'P4Y', NULL),
    -- a ttl of a month from a month end
    (507, '2023-01-31T09:00:00Z', '14 days', '1 month'),
    (508, '2023-01-31T09:00:00Z', '14 days', '28 days 1 second'),
    -- a week is seven days, a year twelve months
    (509, '2024-02-22T09:00:00Z', 'P1W', NULL),
    (510, '2024-02-22T09:00:00Z', 'R2/P12M', NULL),
    -- periods of one microsecond and of everything at once
    (511, NULL, '1us', NULL),
    (512, NULL, '1500ns', NULL),
    (513, NULL, 'P1Y1M1W1DT1H1M1S', NULL),
    (514, NULL, 'R02147483647/PT0001S', NULL),
    -- periods that leave the calendar: only the first firing happens
    (515, NULL, 'P178956970Y', NULL),
    (516, NULL, '2147483647 days', NULL),
    (517, NULL, '7730941129200000000 microseconds', NULL),
    (518, NULL, 'P300000Y', NULL)
) AS t (n, due_time, period, ttl)
ORDER BY n;

-- the end of time
SELECT period,
       schedule_firings(NULL, period, NULL, 5, '294276-12-30 12:00:00+00') AS firings
FROM (VALUES (1, NULL), (2, '1 hour'), (3, '18h'), (4, '1 day'), (5, '1 month'), (6, 'P1Y')) AS t (n, period)
ORDER BY n;

--
-- Summer time: days keep the local time, hours are elapsed time
--
SET TIME ZONE 'Europe/Berlin';
SELECT due_time, period, ttl,
       schedule_firings(due_time, period, ttl, 4, '2024-01-01 12:00:00+00') AS firings
FROM (VALUES
    -- clocks go forward on 31 March 2024 at 02:00
    (601, '2024-03-29T09:00:00+01:00', 'P1D', NULL),
    (602, '2024-03-29T09:00:00+01:00', 'PT24H', NULL),
    (603, '2024-03-29T09:00:00+01:00', '24h', NULL),
    (604, '2024-03-29T09:00:00+01:00', '1 day', NULL),
    (605, '2024-03-29T02:30:00+01:00', 'P1D', NULL),
    (606, '2024-02-29T02:30:00+01:00', 'P1MT1S', NULL),
    (607, '2024-03-31T00:30:00+01:00', '1h', NULL),
    (608, '2024-03-30T12:00:00+01:00', '12h', '1 day'),
    (609, '2024-03-30T12:00:00+01:00', '12h', '24h'),
    -- and back on 27 October at 03:00
    (610, '2024-10-25T09:00:00+02:00', 'P1D', NULL),
    (611, '2024-10-25T09:00:00+02:00', 'PT24H', NULL),
    (612, '2024-10-26T02:30:00+02:00', 'P1D', NULL),
    (613, '2024-10-27T01:30:00+02:00', '1h', NULL),
    (614, '2024-10-26T12:00:00+02:00', 'PT12H', 'P1D'),
    (615, '2024-10-26T12:00:00+02:00', 'PT12H', 'PT24H'),
    -- weeks and months across both
    (616, '2024-03-27T09:00:00+01:00', 'P1W', NULL),
    (617, '2024-01-31T00:00:00+01:00', 'P3M', NULL)
) AS t (n, due_time, period, ttl)
ORDER BY n;

SET TIME ZONE 'America/New_York';
SELECT due_time, period, ttl,
       schedule_firings(due_time, period, ttl, 4, '2024-01-01 12:00:00+00') AS firings
FROM (VALUES
    -- forward on 10 March 2024, back on 3 November, at 02:00
    (701, '2024-03-08T09:00:00-05:00', '1 day', NULL),
    (702, '2024-03-08T09:00:00-05:00', '24 hours', NULL),
    (703, '2024-03-08T02:30:00-05:00', 'P1D', NULL),
    (704, '2024-11-01T01:30:00-04:00', 'P1D', NULL),
    (705, '2024-11-02T23:30:00-04:00', 'PT1H', NULL),
    (706, '2024-11-01T09:00:00-04:00', 'P1DT1H', NULL),
    -- the zone of the text is only its offset, the grid is in the session's
    (707, '2024-03-08T14:00:00Z', 'P1D', NULL),
    (708, '2024-03-08T23:00:00+09:00', 'P1D', NULL)
) AS t (n, due_time, period, ttl)
ORDER BY n;

-- a due time and a ttl count days in local time, too
SELECT due_time, schedule_firings(due_time, NULL, NULL, 1, '2024-03-09 12:00:00-05') AS firing
FROM (VALUES (1, '1 day'), (2, '24 hours'), (3, 'P1D'), (4, 'PT24H'), (5, '24h')) AS t (n, due_time)
ORDER BY n;

-- Samoa left out 30 December 2011: two firings have the same instant
SET TIME ZONE 'Pacific/Apia';
SELECT scheduled_at, local_time FROM actor_schedule_preview(NULL, 'P1D', NULL, 4, '2011-12-28 10:00:00-10');
SET TIME ZONE 'UTC';

--
-- Cron expressions.  The first firing is after the registration, or not before
-- the due time.
--
CREATE FUNCTION cron_firings(expression text, due_time text, registered_at timestamptz,
                             count int DEFAULT 4)
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(to_char(local_time, 'Dy YYYY-MM-DD HH24:MI:SS') || to_char(scheduled_at, ' (DD HH24:MI)'),
                      ', ' ORDER BY number)
      FROM actor_schedule_preview(due_time, expression, NULL, count, registered_at)
           WITH ORDINALITY AS firing (scheduled_at, local_time, time_zone, number)
$$;

SELECT expression, cron_firings(expression, due_time, '2024-01-01 12:00:00+00') AS firings
FROM (VALUES
    (1, '* * * * *', NULL),
    (2, '*/15 * * * *', NULL),
    (3, '5/20 * * * *', NULL),
    (4, '0 9-17/4 * * *', NULL),
    (5, '30 9 * * MON-FRI', NULL),
    (6, '30 9 * * mon,Wed,FRI', NULL),
    (7, '0 0 1 jan,JUL ?', NULL),
    (8, '10,50 3,4 * * *', NULL),
    (9, '0 0 * * 0', NULL),
    (10, '0 0 * * 7', NULL),
    (11, '0 0 * * 5-7', NULL),
    (12, '0 0 * * 5/2', NULL),
    -- six fields begin with the second
    (21, '*/20 * * * * *', NULL),
    (22, '59 59 23 31 12 *', NULL),
    (23, '0,30 0 12 * * *', NULL),
    -- words
    (31, '@hourly', NULL),
    (32, '@daily', NULL),
    (33, '@midnight', NULL),
    (34, '@weekly', NULL),
    (35, '@monthly', NULL),
    (36, '@yearly', NULL),
    (37, '@annually ', NULL),
    (38, '@every 1h30m', NULL),
    -- either of two restricted days will do; a star is no restriction, nor is one in a list
    (41, '0 0 13 * 5', NULL),
    (42, '0 0 */10 * 1', NULL),
    (43, '0 0 *,13 * 5', NULL),
    (44, '0 0 13 * *,5', NULL),
    -- dates that are rare
    (51, '0 0 29 2 *', NULL),
    (52, '0 0 29 2 *', '2096-03-01T00:00:00Z'),
    (53, '0 0 31 * *', NULL),
    (54, '0 0 31 2 1', NULL),
    (55, '0 0 30 2,4 *', NULL),
    -- blanks
    (61, '  0   0	1 1 *  ', NULL),
    -- with a due time
    (71, '0 12 * * *', '0s'),
    (72, '0 12 * * *', '1us'),
    (73, '0 12 * * *', '2030-06-15T12:00:00Z'),
    (74, '0 12 * * *', '1999-12-31T12:00:00.000001Z'),
    -- a number of firings
    (81, 'R2/0 12 * * *', NULL),
    (82, 'R3/@hourly', NULL),
    (83, 'R1/CRON_TZ=Asia/Tokyo @daily', NULL),
    (84, 'R2/@every 5s', NULL),
    -- time zones
    (91, 'CRON_TZ=Europe/Berlin 0 9 * * *', NULL),
    (92, 'TZ=Asia/Kathmandu 0 9 * * *', NULL),
    (93, 'CRON_TZ=asia/tokyo  @weekly', NULL),
    (94, 'CRON_TZ=America/New_York 0 30 8 1 */6 *', NULL)
) AS t (n, expression, due_time)
ORDER BY n;

SELECT * FROM actor_schedule_preview(NULL, 'CRON_TZ=Europe/Berlin 0 9 * * *', NULL, 2, '2024-01-01 12:00:00+00');
SELECT scheduled_at FROM actor_schedule_preview(NULL, '@hourly', '2h', 10, '2024-01-01 12:00:00+00');
SELECT scheduled_at FROM actor_schedule_preview(NULL, '@hourly', '2024-01-01T15:00:00Z', 10, '2024-01-01 12:00:00+00');

-- a clock that is put forward: what is left out fires at the end of the gap;
-- expressions of all hours follow the clock
SELECT zone, expression, cron_firings('CRON_TZ=' || zone || ' ' || expression, NULL, registered_at) AS firings
FROM (VALUES
    (1, 'Europe/Berlin', '30 2 * * *', timestamptz '2024-03-29 12:00:00+00'),
    (2, 'Europe/Berlin', '0,30 2 * * *', '2024-03-30 12:00:00+00'),
    (3, 'Europe/Berlin', '15 2,3 * * *', '2024-03-30 12:00:00+00'),
    (4, 'Europe/Berlin', '0 2,3 * * *', '2024-03-30 12:00:00+00'),
    (5, 'Europe/Berlin', '*/10 2 * * *', '2024-03-31 00:00:00+00'),
    (6, 'Europe/Berlin', '30 * * * *', '2024-03-30 23:00:00+00'),
    (7, 'Europe/Berlin', '0 */2 * * *', '2024-03-30 22:00:00+00'),
    (8, 'Europe/Berlin', '30 2 31 3 *', '2023-06-01 00:00:00+00'),
    (9, 'America/New_York', '30 2 * * *', '2024-03-09 12:00:00+00'),
    (10, 'America/New_York', '0 0 2 * * *', '2012-03-10 12:00:00+00'),
    (11, 'America/Sao_Paulo', '0 0 * * *', '2017-10-14 00:00:00+00'),
    (12, 'Australia/Lord_Howe', '15 2 * * *', '2024-10-05 00:00:00+00'),
    (13, 'Australia/Lord_Howe', '15 * * * *', '2024-10-05 14:00:00+00'),
    (14, 'Pacific/Apia', '0 12 * * *', '2011-12-28 23:00:00+00'),
    (15, 'Pacific/Apia', '0 12 30 12 *', '2011-12-28 23:00:00+00'),
    (16, 'Pacific/Apia', '0 0 * * *', '2011-12-28 23:00:00+00'),
    (17, 'Asia/Kathmandu', '5 0 * * *', '1985-12-30 12:00:00+00')
) AS t (n, zone, expression, registered_at)
ORDER BY n;

-- and put back: what comes twice fires once
SELECT zone, expression, cron_firings('CRON_TZ=' || zone || ' ' || expression, NULL, registered_at, 5) AS firings
FROM (VALUES
    (1, 'Europe/Berlin', '30 2 * * *', timestamptz '2024-10-25 12:00:00+00'),
    (2, 'Europe/Berlin', '0,30 2 * * *', '2024-10-26 12:00:00+00'),
    (3, 'Europe/Berlin', '0 1,2,3 * * *', '2024-10-26 22:30:00+00'),
    (4, 'Europe/Berlin', '30 * * * *', '2024-10-26 22:45:00+00'),
    (5, 'Europe/Berlin', '0 */2 * * *', '2024-10-26 21:30:00+00'),
    (6, 'Europe/Berlin', '30 2 * * *', '2024-10-27 00:45:00+00'),
    (7, 'Europe/Berlin', '30 2 * * *', '2024-10-27 01:15:00+00'),
    (8, 'America/New_York', '0 0 1 * * *', '2012-11-03 12:00:00+00'),
    (9, 'America/Sao_Paulo', '30 23 * * *', '2018-02-16 12:00:00+00'),
    (10, 'Australia/Lord_Howe', '45 1 * * *', '2024-04-05 12:00:00+00'),
    (11, 'Australia/Lord_Howe', '45 * * * *', '2024-04-06 13:00:00+00'),
    -- a whole day comes twice
    (12, 'America/Juneau', '0 12 * * *', '1867-10-16 12:00:00+00'),
    -- twice in a row, half an hour apart
    (13, 'Africa/Casablanca', '30 2 * * *', '2026-02-13 12:00:00+00')
) AS t (n, zone, expression, registered_at)
ORDER BY n;

-- several years of summer time, counted: once a day, and once an hour of elapsed time
SELECT zone,
       count(*) FILTER (WHERE kind = 'daily') AS days,
       count(*) FILTER (WHERE kind = 'hourly') AS hours
FROM (VALUES ('Europe/Berlin'), ('America/New_York'), ('Australia/Lord_Howe'), ('Africa/Casablanca'), ('UTC')) AS z (zone),
     (VALUES ('daily', '30 2 * * *'), ('hourly', '0 * * * *')) AS e (kind, expression),
     LATERAL actor_schedule_preview(NULL, 'CRON_TZ=' || zone || ' ' || expression, '2030-01-01T12:00:00Z',
                                    100000, '2020-01-01 12:00:00+00')
GROUP BY zone
ORDER BY zone COLLATE "C";

-- the end of time
SELECT cron_firings('0 12 * * *', NULL, '294276-12-30 11:00:00+00');
SELECT scheduled_at FROM actor_schedule_preview('0001-01-01T00:00:00Z', '@yearly', NULL, 2);

SELECT expression, r.state, r.message, r.detail
FROM (VALUES
    (1, '* * * *'),
    (2, '* * * * * * *'),
    (3, '60 * * * *'),
    (4, '* 24 * * *'),
    (5, '* * 0 * *'),
    (6, '* * 32 * *'),
    (7, '* * * 0 *'),
    (8, '* * * 13 *'),
    (9, '* * * * 8'),
    (10, '60 * * * * *'),
    (11, '5-1 * * * *'),
    (12, '*/0 * * * *'),
    (13, '*/99999 * * * *'),
    (14, '1,,2 * * * *'),
    (15, '1, * * * *'),
    (16, '1-2-3 * * * *'),
    (17, '1/2/3 * * * *'),
    (18, '*5 * * * *'),
    (19, '* * * january *'),
    (20, '* * * * monday'),
    (21, '* * * mon *'),
    (22, '-1 * * * *'),
    (23, '1- * * * *'),
    (24, '*/ * * * *'),
    (25, '99999999999999999999 * * * *'),
    (26, '* * * * L'),
    (27, '5 4'),
    (28, '*'),
    (31, '@'),
    (32, '@Daily'),
    (33, '@daily x'),
    (34, '@every'),
    (35, '@every '),
    (36, '@every 0s'),
    (37, '@every -1s'),
    (38, '@every 1 hour'),
    (39, '@every PT1H'),
    (40, '@reboot'),
    (41, 'CRON_TZ= 0 9 * * *'),
    (42, 'CRON_TZ=Europe/Berlin'),
    (43, 'CRON_TZ=Europe/Nowhere 0 9 * * *'),
    (44, 'CRON_TZ=../../etc/passwd 0 9 * * *'),
    (45, 'CRON_TZ=Europe/Berlin TZ=UTC 0 9 * * *'),
    (46, 'CRON_TZ=Europe/Berlin 1h'),
    (47, 'R0/@daily'),
    (48, 'R2/'),
    -- dates that there are not
    (51, '0 0 30 2 *'),
    (52, '0 0 31 2,4,6,9,11 *'),
    (53, '0 0 30-31 feb ?')
) AS t (n, expression),
LATERAL schedule_refusal(NULL, expression, NULL) AS r
ORDER BY n;
SELECT expression, r.state, r.message, r.detail
FROM (VALUES (1, '* * * * *'), (2, '@daily'), (3, 'CRON_TZ=UTC 0 9 * * *')) AS t (n, expression),
LATERAL schedule_refusal(expression, NULL, NULL) AS r
ORDER BY n;
DROP FUNCTION cron_firings(text, text, timestamptz, int);

--
-- What is refused
--
SELECT due_time, r.state, r.message, r.detail
FROM (VALUES
    -- in general
    (101, ' '),
    (102, ' 5s'),
    (103, '5s '),
    (104, E'\t5s'),
    (105, E'5s\n'),
    (106, 'soon'),
    (107, '@every 5m'),
    (108, 'R5/PT3S'),
    (109, 'null'),
    (110, 'infinity'),
    -- timestamps
    (201, '2024-01-01'),
    (202, '2024-01-01T00:00:00'),
    (203, '2024-01-01 00:00:00'),
    (204, '2024-01-01t00:00:00Z'),
    (205, '2024-01-01T00:00:00z'),
    (206, '2024-01-01T00:00Z'),
    (207, '24-01-01T00:00:00Z'),
    (208, '10000-01-01T00:00:00Z'),
    (209, '0000-01-01T00:00:00Z'),
    (210, '-0001-01-01T00:00:00Z'),
    (211, '2024-1-01T00:00:00Z'),
    (212, '2024-00-01T00:00:00Z'),
    (213, '2024-13-01T00:00:00Z'),
    (214, '2024-01-00T00:00:00Z'),
    (215, '2024-01-32T00:00:00Z'),
    (216, '2024-02-30T00:00:00Z'),
    (217, '2023-02-29T00:00:00Z'),
    (218, '1900-02-29T00:00:00Z'),
    (219, '2024-04-31T00:00:00Z'),
    (220, '2024-01-01T24:00:00Z'),
    (221, '2024-01-01T00:60:00Z'),
    (222, '2016-12-31T23:59:60Z'),
    (223, '2024-01-01T00:00:00.Z'),
    (224, '2024-01-01T00:00:00,5Z'),
    (225, '2024-01-01T00:00:00.1234567890Z'),
    (226, '2024-01-01T00:00:00+24:00'),
    (227, '2024-01-01T00:00:00+00:60'),
    (228, '2024-01-01T00:00:00+0100'),
    (229, '2024-01-01T00:00:00+1:00'),
    (230, '2024-01-01T00:00:00+01'),
    (231, '2024-01-01T00:00:00 Z'),
    (232, '2024-01-01T00:00:00 Europe/Berlin'),
    (233, '2024-01-01T00:00:00ZZ'),
    (234, '2024-01-01T00:00:00Z '),
    (235, '20240101T000000Z'),
    -- Go durations
    (301, '5'),
    (302, '00'),
    (303, '0.0'),
    (304, '+'),
    (305, '-'),
    (306, '.'),
    (307, '.s'),
    (308, '+-5s'),
    (309, '7sec'),
    (310, '2d'),
    (311, '1w'),
    (312, '5S'),
    (313, '1h30'),
    (314, '1h 30m'),
    (315, '1h-5m'),
    (316, '1.5.5s'),
    (317, '1e3s'),
    (318, '-5s'),
    (319, '-1ns'),
    (320, '9223372036854775808ns'),
    (321, '2562047h47m16.854775808s'),
    (322, '9223372036854775807h'),
    (323, '99999999999999999999999s'),
    -- ISO 8601 durations
    (401, 'P'),
    (402, 'PT'),
    (403, 'P1DT'),
    (404, 'P1'),
    (405, 'PT1'),
    (406, 'p1d'),
    (407, 'P1d'),
    (408, 'PT5s'),
    (409, 'PT1.5S'),
    (410, 'PT1,5S'),
    (411, 'P-1D'),
    (412, '-P1D'),
    (413, 'P+1D'),
    (414, 'P1D1D'),
    (415, 'P1D1Y'),
    (416, 'P1W1M'),
    (417, 'PT1S1M'),
    (418, 'P1H'),
    (419, 'PT1D'),
    (420, 'P1DT1HT1M'),
    (421, 'PTT1S'),
    (422, 'P 1D'),
    (423, 'P1D '),
    (424, 'P1DD'),
    (425, 'P2147483648M'),
    (426, 'P178956970Y8M'),
    (427, 'P306783379W'),
    (428, 'PT9223372036855S'),
    (429, 'PT9223372036854S'),
    (430, 'P99999999999999999999D'),
    (431, 'P200000000D'),
    (432, 'P178956970Y'),
    -- intervals
    (501, '5  minutes'),
    (502, '5 minutes '),
    (503, '1 day, 2 hours'),
    (504, '1 day  2 hours'),
    (505, '5 Minutes'),
    (506, '5 mn'),
    (507, '5 m'),
    (508, '5 minutess'),
    (509, '5 minutes ago'),
    (510, '-5 minutes'),
    (511, '1 day -2 hours'),
    (512, '1 day 1 days'),
    (513, '1 mon 1 month'),
    (514, '1.5 days'),
    (515, '0.5 months'),
    (516, '. hours'),
    (517, '1,5 hours'),
    (518, '1 hour 30'),
    (519, '1 day 02:00'),
    (520, 'five minutes'),
    (521, '1 decade'),
    (522, '2147483648 days'),
    (523, '9223372036854775807 hours'),
    (524, '99999999999999999999 hours'),
    (525, '300000 years'),
    -- nearly as the server prints them
    (601, '2024-01-01  00:00:00Z'),
    (602, '2024-01-01 00:00:00+1'),
    (603, '2024-01-01 00:00:00+01:'),
    (604, '2024-01-01 00:00:00+01:00:00:00'),
    (605, '2024-01-01 00:00:00 UTC'),
    (606, '01:30'),
    (607, '1:60:00'),
    (608, '1:00:60'),
    (609, '01:00:00.'),
    (610, '01:00:00 1 day'),
    (611, '-01:00:00'),
    (612, '1 day -01:00:00'),
    (613, '1 hour 01:00:00'),
    (614, '1 day  01:00:00'),
    (615, '9223372036854775807:00:00'),
    (616, '2562047788:00:54.775808')
) AS t (n, due_time),
LATERAL schedule_refusal(due_time, NULL, NULL) AS r
ORDER BY n;

SELECT period, r.state, r.message, r.detail
FROM (VALUES
    (1, '0'),
    (2, '0s'),
    (3, '-0s'),
    (4, '1ns'),
    (5, '999ns'),
    (6, '-3s'),
    (7, 'P0D'),
    (8, 'PT0S'),
    (9, '0 seconds'),
    (10, '0.5 microseconds'),
    (11, 'R3/PT0S'),
    (12, 'R0/PT3S'),
    (13, 'R000/PT3S'),
    (14, 'R/PT3S'),
    (15, 'R-1/PT3S'),
    (16, 'R+1/PT3S'),
    (17, 'R1.5/PT3S'),
    (18, 'R2147483648/PT3S'),
    (19, 'R99999999999999999999/PT3S'),
    (20, 'R3'),
    (21, 'R3/'),
    (22, 'R3/3s'),
    (23, 'R3/3 seconds'),
    (24, 'R3/R3/PT3S'),
    (25, 'R3/P'),
    (26, 'R3 /PT3S'),
    (27, 'r3/PT3S'),
    (28, '2024-01-01T00:00:00Z'),
    (29, '@fortnightly'),
    (30, '2d'),
    (31, 'R3/PT5s'),
    (32, '9223372036854775807 microseconds'),
    (33, 'PT9223372036854775807S')
) AS t (n, period),
LATERAL schedule_refusal(NULL, period, NULL) AS r
ORDER BY n;

SELECT due_time, ttl, r.state, r.message, r.detail
FROM (VALUES
    (1, NULL, '0'),
    (2, NULL, '0s'),
    (3, NULL, '999ns'),
    (4, NULL, '-5s'),
    (5, NULL, 'P0D'),
    (6, NULL, '0 days'),
    (7, NULL, 'R3/PT3S'),
    (8, NULL, '1d'),
    -- the end comes before the first firing
    (9, NULL, '2024-01-01T12:00:00Z'),
    (10, NULL, '2023-01-01T12:00:00Z'),
    (11, '10s', '2024-01-01T12:00:10Z'),
    (12, '10s', '2024-01-01T12:00:10.000001Z'),
    (13, '2025-01-01T00:00:00Z', '2024-06-01T00:00:00Z'),
    (14, NULL, '300000 years')
) AS t (n, due_time, ttl),
LATERAL schedule_refusal(due_time, NULL, ttl) AS r
ORDER BY n;

-- positions count characters, not bytes
SELECT mu,
       CASE WHEN getdatabaseencoding() = 'UTF8'
            THEN replace((schedule_refusal('1' || chr(mu) || 's1' || chr(mu) || 'sx', NULL, NULL)).detail,
                         chr(mu), 'mu')
            ELSE 'Unit "musx" at position 5 is not known.' END AS detail
FROM (VALUES (181), (956)) AS t (mu)
ORDER BY mu;

-- hints list what may be written
SELECT hint FROM schedule_refusal('x', NULL, NULL);
SELECT hint FROM schedule_refusal(NULL, 'x', NULL);
SELECT hint FROM schedule_refusal(NULL, NULL, 'x');

-- long texts are not repeated in full
SELECT message, detail FROM schedule_refusal(repeat('x', 1000000), NULL, NULL);
SELECT message, detail FROM schedule_refusal(NULL, '1' || repeat('x', 1000000), NULL);
SELECT message, detail FROM schedule_refusal(NULL, NULL, repeat('9', 1000000));
SELECT message, detail FROM schedule_refusal(repeat('1s', 500000) || '1', NULL, NULL);
SELECT schedule_firings(repeat('1s', 500000), NULL, NULL, 1, '2024-01-01 12:00:00+00');

-- the registration must be an instant
SELECT actor_schedule_preview(NULL, NULL, NULL, 1, 'infinity');
SELECT actor_schedule_preview('1s', '1s', NULL, 1, '-infinity');

\pset null ''
DROP FUNCTION schedule_firings(text, text, text, int, timestamptz);
DROP FUNCTION schedule_refusal(text, text, text);
RESET TIME ZONE;
RESET datestyle;
