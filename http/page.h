/*-------------------------------------------------------------------------
 *
 * page.h
 *		The files of the page for operators.
 *
 * IDENTIFICATION
 *		http/page.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_PAGE_H
#define ACTOR_HTTP_PAGE_H

#include <stdbool.h>

#include "request.h"

extern void page_headers(Request *request);
extern bool page_at_once(Request *request);

#endif							/* ACTOR_HTTP_PAGE_H */
