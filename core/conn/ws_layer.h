/* The table of the layer "ws", for the array of built-ins. */
#ifndef ADIT_CORE_WS_LAYER_H
#define ADIT_CORE_WS_LAYER_H

#include <adit/plugin.h>

extern const struct adit_layer_ops layer_ws;

#endif
