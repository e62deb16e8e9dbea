/*-------------------------------------------------------------------------
 *
 * page.c
 *		The files of the page for operators, which are part of the program.
 *
 * Whoever reaches the port gets them: they show nothing.  What they ask for
 * needs the token, see dashboard.c.
 *
 * IDENTIFICATION
 *		http/page.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "answer.h"
#include "page.h"
#include "util.h"

/* what files.S has between its labels */
#define FILE_LABELS(label)		extern const char label##_start[], label##_end[]

FILE_LABELS(page_html);
FILE_LABELS(page_css);
FILE_LABELS(page_js);
FILE_LABELS(base_js);
FILE_LABELS(chart_js);
FILE_LABELS(actor_js);
FILE_LABELS(icon_svg);

static const struct
{
	const char *name;
	const char *content_type;
	const char *start;
	const char *end;
}			files[] = {
	{"", "text/html; charset=utf-8", page_html_start, page_html_end},
	{"page.css", "text/css; charset=utf-8", page_css_start, page_css_end},
	{"page.js", "text/javascript; charset=utf-8", page_js_start, page_js_end},
	{"base.js", "text/javascript; charset=utf-8", base_js_start, base_js_end},
	{"chart.js", "text/javascript; charset=utf-8", chart_js_start, chart_js_end},
	{"actor.js", "text/javascript; charset=utf-8", actor_js_start, actor_js_end},
	{"icon.svg", "image/svg+xml", icon_svg_start, icon_svg_end},
};

/*
 * page_headers
 *		What browsers are told with every answer of that port: to run and load
 *		nothing but our files, to show the page in no other one, and to keep nothing.
 */
void
page_headers(Request *request)
{
	answer_header(request, "Content-Security-Policy",
				  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
				  " connect-src 'self'; base-uri 'none'; form-action 'none';"
				  " frame-ancestors 'none'; require-trusted-types-for 'script'");
	answer_header(request, "X-Content-Type-Options", "nosniff");
	answer_header(request, "Referrer-Policy", "no-referrer");
	answer_header(request, "Cross-Origin-Opener-Policy", "same-origin");
	answer_header(request, "Cross-Origin-Resource-Policy", "same-origin");
	answer_header(request, "Cache-Control", "no-store");
}

/*
 * page_at_once
 *		Answers with a file.  Always answers.
 */
bool
page_at_once(Request *request)
{
	for (size_t i = 0; i < lengthof(files); i++)
		if (strcmp(files[i].name, request->name) == 0)
		{
			answer_bytes(request, 200, files[i].content_type, files[i].start,
						 (size_t) (files[i].end - files[i].start));
			return true;
		}
	answer_error(request, 404, "ERR_NOT_FOUND", "there is nothing at this path");
	return true;
}
