/* The log that the recorder writes and the replayer reads: one event after another, each a fixed
 * header, followed by the data for a WRITE. Sequence numbers start at 1 and have no gap.
 *
 *   WRITE  seq, offset, length, data     a write arrived; its data may be on the medium from now on
 *   ZERO   seq, offset, length           the same, of zeros (discard, write zeroes)
 *   DONE   seq, refers = seq of a WRITE  that write was reported complete (volatile cache!)
 *   FLUSH  seq                           a flush arrived
 *   FLUSHED seq, refers = seq of FLUSH   that flush was reported complete: all writes whose DONE came
 *                                        before the FLUSH are on stable storage
 */
#ifndef RECORDING_H
#define RECORDING_H

#include <stdint.h>

#define RECORDING_MAGIC 0x54554350u /* "PCUT" */
#define SECTOR_BYTES 512u

enum event_kind { EVENT_WRITE = 1, EVENT_ZERO, EVENT_DONE, EVENT_FLUSH, EVENT_FLUSHED };

struct event {
    uint32_t magic;
    uint32_t kind;
    uint64_t seq;
    uint64_t refers;
    uint64_t offset;
    uint64_t length; /* bytes; data follows only for EVENT_WRITE */
};

_Static_assert(sizeof(struct event) == 40, "fixed layout");

#endif
