/*
 * The files of the page for operators, as they are, each between two labels.
 */
	.macro	file label, name
	.globl	\label\()_start, \label\()_end
\label\()_start:
	.incbin	"\name"
\label\()_end:
	.byte	0
	.endm

	.section .rodata
	file	page_html, "dashboard/index.html"
	file	page_css, "dashboard/page.css"
	file	page_js, "dashboard/page.js"
	file	base_js, "dashboard/base.js"
	file	chart_js, "dashboard/chart.js"
	file	actor_js, "dashboard/actor.js"
	file	icon_svg, "dashboard/icon.svg"

	.section .note.GNU-stack,"",%progbits
