/* A library with padded entries. */
const char *greeting(void) { return "hello"; }
