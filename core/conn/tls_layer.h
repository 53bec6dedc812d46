/* The tables of the layers "tls" and "tls-h2", for the array of built-ins. */
#ifndef ADIT_CORE_TLS_LAYER_H
#define ADIT_CORE_TLS_LAYER_H

#include <adit/plugin.h>

extern const struct adit_layer_ops layer_tls, layer_tls_h2;

#endif
