/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin denoise - a network that learns from noisy images alone, what it makes of them, how good
 * that is. */
#include "denoise.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const pn_arith_choices[] = { "auto", "f32", "bf16", NULL };

enum pn_arith pn_arith_chosen(int choice)
{
	return choice == 0 ? pn_arith_best() : choice == 1 ? PN_ARITH_F32 : PN_ARITH_BF16;
}

int pn_out_writable(const char *path, struct pn_error *err)
{
	struct stat st;
	char *part;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return PN_OK;
	if (asprintf(&part, "%s.part", path) < 0)
		return pn_error_set(err, PN_ENOMEM, "no memory");
	int fd = open(part, O_WRONLY | O_CREAT | O_CLOEXEC, 0666), errnum = errno;
	if (fd >= 0) {
		close(fd);
		unlink(part);
	}
	free(part);
	return fd >= 0 ? PN_OK : pn_error_errno(err, errnum, "%s", path);
}

static const struct pn_command *const kinds[] = { &pn_denoise_train, &pn_denoise_apply,
						  &pn_denoise_score, &pn_denoise_sheet, NULL };

const struct pn_command pn_command_denoise = {
	.name = "denoise",
	.brief = "train a network on noisy images, denoise them, say how good that is",
	.usage = "train|apply|score|sheet",
	.kinds = kinds,
};
