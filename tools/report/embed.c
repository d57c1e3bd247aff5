/* SPDX-License-Identifier: GPL-3.0-or-later */
/* embed.c - the files of the page as bytes of the program. CMake says where they stand. */
#include "page.h"

#define EMBED(name, path)                              \
	__asm__(".section .rodata\n"                   \
		".global report_asset_" #name "\n"     \
		".global report_asset_" #name "_end\n" \
		"report_asset_" #name ":\n"            \
		".incbin \"" path "\"\n"               \
		"report_asset_" #name "_end:\n"        \
		".byte 0\n"                            \
		".previous\n");                        \
	extern const char report_asset_##name[], report_asset_##name##_end[]

EMBED(style, REPORT_FOLDER "/style.css");
EMBED(page, REPORT_FOLDER "/page.js");
EMBED(colors, REPORT_FOLDER "/colors.js");
EMBED(paint, REPORT_FOLDER "/paint.js");
EMBED(view, REPORT_FOLDER "/view.js");
EMBED(legend, REPORT_FOLDER "/legend.js");
EMBED(models, REPORT_FOLDER "/models.js");
EMBED(three, REPORT_THREE);
EMBED(license, REPORT_FOLDER "/three-license.txt");

struct report_asset report_asset(enum report_asset_name name)
{
	static const struct report_asset assets[REPORT_ASSETS] = {
		[REPORT_STYLE] = { report_asset_style, report_asset_style_end },
		[REPORT_PAGE_JS] = { report_asset_page, report_asset_page_end },
		[REPORT_COLORS_JS] = { report_asset_colors, report_asset_colors_end },
		[REPORT_PAINT_JS] = { report_asset_paint, report_asset_paint_end },
		[REPORT_VIEW_JS] = { report_asset_view, report_asset_view_end },
		[REPORT_LEGEND_JS] = { report_asset_legend, report_asset_legend_end },
		[REPORT_MODELS_JS] = { report_asset_models, report_asset_models_end },
		[REPORT_THREE_JS] = { report_asset_three, report_asset_three_end },
		[REPORT_THREE_LICENSE] = { report_asset_license, report_asset_license_end },
	};

	return assets[name];
}
