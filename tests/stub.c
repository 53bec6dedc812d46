/* Keeps the shared object library from being empty. */
typedef int unit_shared_is_not_empty;
