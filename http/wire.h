/*-------------------------------------------------------------------------
 *
 * wire.h
 *		Watches what libmicrohttpd reads from clients.
 *
 * IDENTIFICATION
 *		http/wire.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_WIRE_H
#define ACTOR_HTTP_WIRE_H

typedef struct Wire Wire;

extern void wires_start(void);
extern void wires_stop(void);
extern Wire *wire_open(int socket);
extern void wire_close(Wire *wire);
extern void wire_request(const Wire *wire);
extern void wire_answered(Wire *wire);

#endif							/* ACTOR_HTTP_WIRE_H */
