/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "refine_flag.h"

#include <stddef.h>
#include <string.h>

static const struct {
	const char *name;
	unsigned bit;
} words[] = { { "angles", PN_REFINE_ANGLES }, { "shifts", PN_REFINE_SHIFTS } };

static unsigned bit_of(const char *word, size_t length)
{
	for (size_t i = 0; i < PN_COUNT(words); i++)
		if (strlen(words[i].name) == length && memcmp(words[i].name, word, length) == 0)
			return words[i].bit;
	return 0;
}

int pn_refine_flag_parse(const char *text, unsigned *what, struct pn_error *err)
{
	unsigned found = 0;

	if (!text || !*text || strcmp(text, "none") == 0) {
		*what = 0;
		return PN_OK;
	}
	for (const char *word = text;; word++) {
		size_t length = strcspn(word, ",");
		unsigned bit = bit_of(word, length);

		if (!bit)
			return pn_error_set(err, PN_EARG,
					    "--refine %s: '%.*s' is neither angles nor shifts",
					    text, (int)length, word);
		if (found & bit)
			return pn_error_set(err, PN_EARG, "--refine %s: '%.*s' is there twice",
					    text, (int)length, word);
		found |= bit;
		word += length;
		if (!*word)
			break;
	}
	*what = found;
	return PN_OK;
}
