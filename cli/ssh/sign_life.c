/*
 * How much of a certificate's life is left: no more than arithmetic.
 */
#include "sign.h"

bool
sign_has_life(const struct sshwire_certificate *certificate, time_t now, unsigned percent)
{
	uint64_t at = now > 0 ? (uint64_t)now : 0, life, left;

	if (at < certificate->valid_after || at >= certificate->valid_before)
		return (false);
	if (certificate->valid_before == UINT64_MAX)
		return (true);
	life = certificate->valid_before - certificate->valid_after;
	left = certificate->valid_before - at;
	return (left > life / 100 * percent + life % 100 * percent / 100);
}
