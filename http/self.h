/*-------------------------------------------------------------------------
 *
 * self.h
 *		What this host is: whether it serves its application, and as whom.
 *
 * IDENTIFICATION
 *		http/self.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_SELF_H
#define ACTOR_HTTP_SELF_H

#include <stdbool.h>
#include <stdint.h>

#define UUID_SIZE			37

extern void uuid_create(char uuid[UUID_SIZE]);
extern void chain_id_create(char chain_id[UUID_SIZE]);
extern void call_id_create(const char *chain_id, char call_id[UUID_SIZE]);
extern bool id_is_of_hosts(const char *id);
extern bool ids_of_one_chain(const char *a, const char *b);
extern bool is_uuid(const char *text);
extern bool same_secret(const char *secret, const char *given);
extern void self_start(void);
extern void self_set_address(const char *address);
extern void self_stop(void);
extern const char *self_address(void);
extern void self_joined(const char *host_id, const char *key, bool is_reachable);
extern bool self_was(const char *host_id);
extern void self_gone(void);
extern void self_reachable(bool reachable);
extern void self_missed(void);
extern void self_doubted(void);
extern bool self_wait_missed(int64_t until);
extern void self_leave(void);
extern bool self_is_leaving(void);
extern bool self_is_ready(void);
extern bool self_id(char host_id[UUID_SIZE]);
extern bool self_wait_ready(char host_id[UUID_SIZE], int64_t until);

#endif							/* ACTOR_HTTP_SELF_H */
