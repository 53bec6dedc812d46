/* The array of built-in plugins: the only place that names them all. */
typedef int builtin_is_not_empty;
