/* The writers' number texts are those of CAST. */
#include "efx_test.h"

#include "efx_eval.h"
#include "efx_numbers.h"

#include <string.h>

static void columns_and_cast_write_the_same_text(void **state)
{
    uint64_t seed = 11;
    char a[EFX_NUMBER_TEXT_MAX + 8], b[EFX_NUMBER_TEXT_MAX + 8];
    (void)state;
    for (int i = 0; i < 50000; i++) {
        uint64_t bits = efx_test_rand(&seed);
        double d;
        float f;
        memcpy(&d, &bits, sizeof d);
        memcpy(&f, &bits, sizeof f);
        d = i % 3 == 0 ? (double)(int64_t)(bits % 1000000000) / 1000 : d;
        uint32_t n = efx_io_double_text(d, a), k = efx_eval_double_text(d, b);
        a[n] = b[k] = '\0';
        assert_string_equal(a, b);
        n = efx_io_float_text(f, a);
        k = efx_eval_float_text(f, b);
        a[n] = b[k] = '\0';
        assert_string_equal(a, b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_and_cast_write_the_same_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
