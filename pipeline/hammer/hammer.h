/* Included before test.c, so that the compiler checks what test.c defines.

   One call of what the live patch replaces, by threads of their own, again and
   again while it is applied and reverted. NULL if all is well, which is what
   must hold before, after and in between; else what is wrong, in one line. */
#ifdef __cplusplus
extern "C"
#endif
const char *lpbuild_hammer(void);
