
/*
 * What nginx's configure would have found, for the unit tests: just enough
 * for the core headers on 64-bit Linux, without a configured tree.
 */

#define NGX_CONFIGURE             ""
#define NGX_COMPILER              ""
#define NGX_PTR_SIZE              8
#define NGX_SIG_ATOMIC_T_SIZE     4
#define NGX_TIME_T_SIZE           8
#define NGX_TIME_T_LEN            (sizeof("-9223372036854775808") - 1)
#define NGX_OFF_T_LEN             (sizeof("-9223372036854775808") - 1)
#define NGX_MAX_OFF_T_VALUE       9223372036854775807LL
#define NGX_MAX_SIZE_T_VALUE      9223372036854775807LL
#define NGX_MAX_TIME_T_VALUE      9223372036854775807LL
#define NGX_HAVE_GCC_ATOMIC       1
#define NGX_HAVE_INET6            1
#define NGX_HAVE_GCC_VARIADIC_MACROS  1
#define NGX_HAVE_C99_VARIADIC_MACROS  1
#define NGX_HAVE_MSGHDR_MSG_CONTROL  1

#if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
#define NGX_HAVE_LITTLE_ENDIAN    1
#endif
