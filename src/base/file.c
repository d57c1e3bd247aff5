/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

int pn_file_copy(const char *from, const char *to, struct pn_error *err)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);

	if (in < 0)
		return pn_error_errno(err, errno, "%s", from);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (out < 0) {
		int errnum = errno;

		close(in);
		return pn_error_errno(err, errnum, "%s", to);
	}
	ssize_t n;
	while ((n = sendfile(out, in, NULL, 1 << 20)) > 0)
		;
	int errnum = n < 0 ? errno : 0;
	if (close(out) && !errnum)
		errnum = errno;
	close(in);
	if (!errnum)
		return PN_OK;
	unlink(to);
	return pn_error_errno(err, errnum, "%s to %s", from, to);
}
