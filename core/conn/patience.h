/* How long two joined conns may be silent, whoever joined them (adit_pump). */
#ifndef ADIT_CORE_PATIENCE_H
#define ADIT_CORE_PATIENCE_H

#include <adit/worker.h>

#define HALF_CLOSED_NS ADIT_SECONDS(60)	/* once one direction has ended */
#define QUIET_NS ADIT_MS(500)		/* of datagrams: then a drain does not wait for them */

#endif
