#include <errno.h>
#include <stdlib.h>

#include "core/runtime/log_file.h"
#include "core/service/record_sink.h"

#define MIB (UINT64_C(1) << 20)

struct record_file {
	struct record_sink		 base;
	const struct record_file_conf	*conf;
	struct log_file			*file;		/* NULL: not opened, or not to be opened */
};

static struct record_file *
file_of(struct record_sink *s)
{
	return adit_container_of(s, struct record_file, base);
}

static int
file_open(struct record_file *f, struct adit_err *e)
{
	const struct rotation_conf *from = f->conf->rotation;
	const struct log_rotation rotation = {
		.max_size = from ? (uint64_t)from->max_size * MIB : 0,
		.max_backups = from ? (unsigned)from->max_backups : 0,
		.max_age_days = from ? (unsigned)from->max_age : 0,
		.secret = true,
	};

	if (!f->file)
		f->file = log_file_open(f->conf->path, &rotation, e);
	return f->file ? 0 : -EIO;
}

/* A file is set aside between two records, not within one. */
static uint64_t
file_write(struct record_sink *s, const struct record_batch *b, struct adit_err *e)
{
	struct record_file *f = file_of(s);
	uint64_t lost = 0;
	size_t at = 0, len, done;
	const char *record;
	int err = file_open(f, e);

	while ((record = record_batch_next(b, &at, &len))) {
		if (!err) {
			err = log_file_write(f->file, s->stop, record, len, &done);
			if (err)
				adit_err_set(e, err, "%s", adit_strerror(err));
		}
		lost += err != 0;
	}
	return lost;
}

static void
file_free(struct record_sink *s)
{
	struct record_file *f = file_of(s);

	log_file_free(f->file);
	free(f);
}

struct record_sink *
record_file_new(const struct record_file_conf *conf, int stop)
{
	static const struct record_sink_ops ops = { .write = file_write, .free = file_free };
	struct record_file *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->base = (struct record_sink){
		.ops = &ops, .tail = conf->sep ? conf->sep : "", .stop = stop,
	};
	f->conf = conf;
	return &f->base;
}
