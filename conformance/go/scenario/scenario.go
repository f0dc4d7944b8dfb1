// Package scenario is the shared scenario for Go's clients: the records, the steps, the comparisons.
//
// Belongs here: what is produced, read and compared, in which order (README.md says it in words). A client is a value of
// the interface Client.
package scenario

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"time"
)

const (
	settle      = 30 * time.Second
	liveRecords = 3
	// Beginning is the offset that Read takes for the log's start.
	Beginning = -2
)

// Header is one record header; a nil Value is null.
type Header struct {
	Key   string
	Value []byte
}

// Record is a record as produced or as read; nil Key and Value are null.
type Record struct {
	Partition int32
	Offset    int64
	Timestamp int64
	Key       []byte
	Value     []byte
	Headers   []Header
	feature   bool
}

// Round is one way of producing.
type Round struct {
	Name       string `json:"name"`
	Acks       string `json:"acks"`
	Idempotent bool   `json:"idempotent"`
}

// Place is an acknowledged partition and offset.
type Place struct {
	Partition int32
	Offset    int64
}

// Found is what a lookup by time found.
type Found struct {
	Offset    int64
	Timestamp int64
}

// Client is what the scenario needs from a Kafka client.
type Client interface {
	CreateTopic(topic string, partitions int, configs map[string]string) error
	// Topics returns every topic with its number of partitions.
	Topics() (map[string]int, error)
	// UnknownTopic asks for a topic that is not there, with auto-creation off, and returns the error.
	UnknownTopic(topic string) error
	TopicConfig(topic string) (map[string]string, error)
	CreatePartitions(topic string, total int) error
	DeleteTopic(topic string) error
	// DeleteRecords deletes what is below offset.
	DeleteRecords(topic string, partition int32, offset int64) error
	// Produce returns one place per record; with acks=0 the offsets mean nothing.
	Produce(topic, codec string, round Round, records []Record) ([]Place, error)
	StartOffset(topic string, partition int32) (int64, error)
	EndOffset(topic string, partition int32) (int64, error)
	// OffsetForTime returns nil where no record is as late.
	OffsetForTime(topic string, partition int32, timestamp int64) (*Found, error)
	// Read reads count records of an assigned partition from offset (or Beginning) on.
	Read(topic string, partition int32, offset int64, count int) ([]Record, error)
	// Tail takes its place at the end, calls produce, and reads count records.
	Tail(topic string, partition int32, produce func() error, count int) ([]Record, error)
	IsOutOfRange(error) bool
	IsUnknownTopic(error) bool
	IsTooLarge(error) bool
	Close()
}

type file struct {
	Partitions   int               `json:"partitions"`
	Codecs       []string          `json:"codecs"`
	Rounds       []Round           `json:"rounds"`
	RoundStepMs  int64             `json:"round_step_ms"`
	TopicConfigs map[string]string `json:"topic_configs"`
	TooLarge     int               `json:"too_large_bytes"`
	DeleteCodecs []string          `json:"delete_codecs"`
	Records      []struct {
		Partition int32        `json:"partition"`
		Key       *string      `json:"key"`
		Value     *string      `json:"value"`
		Headers   [][2]*string `json:"headers"`
		Timestamp int64        `json:"timestamp"`
		Feature   bool         `json:"feature"`
	} `json:"records"`
}

func unhex(text *string) []byte {
	if text == nil {
		return nil
	}
	data, err := hex.DecodeString(*text)
	if err != nil {
		panic(err)
	}
	if data == nil {
		data = []byte{}
	}
	return data
}

// mismatch ends a run.
type mismatch struct{ text string }

type run struct {
	client      Client
	file        file
	bootstrap   string
	prefix      string
	storedCodec string
	checks      int
	compared    int
}

// Main runs the scenario and ends the process.
func Main(connect func(bootstrap string) (Client, error)) {
	bootstrap := flag.String("bootstrap", "", "HOST:PORT")
	path := flag.String("scenario", "", "the scenario file")
	prefix := flag.String("prefix", "", "what the topics' names begin with")
	storedCodec := flag.String("stored-codec", "", "the checker of stored batches")
	flag.Parse()
	raw, err := os.ReadFile(*path)
	if err != nil {
		fail(err)
	}
	r := &run{bootstrap: *bootstrap, prefix: *prefix, storedCodec: *storedCodec}
	if err := json.Unmarshal(raw, &r.file); err != nil {
		fail(err)
	}
	if r.client, err = connect(*bootstrap); err != nil {
		fail(err)
	}
	defer func() {
		if problem := recover(); problem != nil {
			if m, ok := problem.(mismatch); ok {
				fail(errors.New(m.text))
			}
			panic(problem)
		}
		r.client.Close()
		fmt.Printf("conformance: %d records compared, %d checks, codecs %s\n", r.compared, r.checks,
			join(r.file.Codecs))
	}()
	r.everything()
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "FAILED", err)
	os.Exit(1)
}

func join(names []string) string {
	var text bytes.Buffer
	for at, name := range names {
		if at > 0 {
			text.WriteByte(',')
		}
		text.WriteString(name)
	}
	return text.String()
}

func (r *run) records(round int, keep func(Record) bool) []Record {
	var records []Record
	for _, raw := range r.file.Records {
		record := Record{Partition: raw.Partition, Offset: -1, Key: unhex(raw.Key), Value: unhex(raw.Value),
			Timestamp: raw.Timestamp + int64(round)*r.file.RoundStepMs, feature: raw.Feature}
		for _, pair := range raw.Headers {
			record.Headers = append(record.Headers, Header{*pair[0], unhex(pair[1])})
		}
		if keep == nil || keep(record) {
			records = append(records, record)
		}
	}
	return records
}

func (r *run) must(what string, err error) {
	if err != nil {
		panic(mismatch{what + ": " + err.Error()})
	}
}

func (r *run) equal(what string, got, wanted any) {
	r.checks++
	if !reflect.DeepEqual(got, wanted) {
		panic(mismatch{fmt.Sprintf("%s: got %.600s, wanted %.600s", what, fmt.Sprintf("%v", got),
			fmt.Sprintf("%v", wanted))})
	}
}

func (r *run) settles(what string, probe func() (any, error), wanted any) {
	deadline := time.Now().Add(settle)
	for {
		got, err := probe()
		if err == nil && reflect.DeepEqual(got, wanted) || time.Now().After(deadline) {
			r.must(what, err)
			r.equal(what, got, wanted)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (r *run) refused(what string, err error, is func(error) bool) {
	r.checks++
	if err == nil || !is(err) {
		panic(mismatch{fmt.Sprintf("%s: refused with %v", what, err)})
	}
}

// compare goes field by field, so that a failure names the field.
func (r *run) compare(what string, got, wanted []Record) {
	r.equal(what+": number of records", len(got), len(wanted))
	for at, other := range wanted {
		one := got[at]
		where := what + ": offset " + strconv.FormatInt(other.Offset, 10) + ", "
		r.equal(where+"partition", one.Partition, other.Partition)
		r.equal(where+"offset", one.Offset, other.Offset)
		r.equal(where+"timestamp", one.Timestamp, other.Timestamp)
		r.equal(where+"key", one.Key, other.Key)
		r.equal(where+"value", one.Value, other.Value)
		r.equal(where+"headers", one.Headers, other.Headers)
		r.compared++
	}
}

func (r *run) everything() {
	var first [][]Record
	for _, codec := range r.file.Codecs {
		topic := r.prefix + "-" + codec
		r.create(topic)
		log := r.produceRounds(topic, codec)
		r.readBack(topic, log)
		r.readTail(topic, codec, log)
		records := 0
		for _, partition := range log {
			records += len(partition)
		}
		r.checkStoredCodec(topic, codec, records)
		fmt.Printf("ok %s: %d records\n", codec, records)
		if first == nil {
			first = log
		}
	}
	topic := r.prefix + "-" + r.file.Codecs[0]
	r.errors(topic, first)
	r.admin(topic, first)
}

func (r *run) partitionsOf(topic string) func() (any, error) {
	return func() (any, error) {
		topics, err := r.client.Topics()
		return topics[topic], err
	}
}

func (r *run) endOf(topic string, partition int) func() (any, error) {
	return func() (any, error) { return r.client.EndOffset(topic, int32(partition)) }
}

func (r *run) create(topic string) {
	r.must("create "+topic, r.client.CreateTopic(topic, r.file.Partitions, r.file.TopicConfigs))
	r.settles("partitions of "+topic, r.partitionsOf(topic), r.file.Partitions)
	r.leadersAnswer(topic, 0, r.file.Partitions)
}

// Metadata may name a leader that does not know it yet; a retry would reorder records, acks=0 lose them.
func (r *run) leadersAnswer(topic string, from, to int) {
	for partition := from; partition < to; partition++ {
		r.settles(fmt.Sprintf("end offset of new %s-%d", topic, partition), r.endOf(topic, partition), int64(0))
	}
}

// number gives records their offsets behind the log, and adds them to it.
func number(log [][]Record, records []Record) []Place {
	var places []Place
	for at := range records {
		record := &records[at]
		record.Offset = int64(len(log[record.Partition]))
		log[record.Partition] = append(log[record.Partition], *record)
		places = append(places, Place{record.Partition, record.Offset})
	}
	return places
}

func (r *run) produceRounds(topic, codec string) [][]Record {
	log := make([][]Record, r.file.Partitions)
	for at, round := range r.file.Rounds {
		what := topic + ", " + round.Name
		records := r.records(at, nil)
		wanted := number(log, records)
		places, err := r.client.Produce(topic, codec, round, records)
		r.must(what, err)
		if round.Acks != "0" {
			r.equal(what+": acknowledged partitions and offsets", places, wanted)
		}
		for partition := range log {
			r.settles(fmt.Sprintf("%s: end offset of partition %d", what, partition), r.endOf(topic, partition),
				int64(len(log[partition])))
		}
	}
	return log
}

func (r *run) read(what, topic string, partition int, offset int64, wanted []Record) {
	got, err := r.client.Read(topic, int32(partition), offset, len(wanted))
	r.must(what, err)
	r.compare(what, got, wanted)
}

func (r *run) readBack(topic string, log [][]Record) {
	for partition, wanted := range log {
		where := fmt.Sprintf("%s-%d", topic, partition)
		r.read(where+" from the beginning", topic, partition, Beginning, wanted)
		for _, start := range []int{1, len(wanted) / 2, len(wanted) - 1} {
			rest := wanted[start:min(start+50, len(wanted))]
			r.read(fmt.Sprintf("%s from offset %d", where, start), topic, partition, int64(start), rest)
		}
		r.byTime(topic, partition, wanted)
	}
}

// byTime: the first offset whose timestamp is not below the target, exactly, also inside a batch.
func (r *run) byTime(topic string, partition int, wanted []Record) {
	middle, highest := len(wanted)/2, int64(0)
	for _, record := range wanted {
		highest = max(highest, record.Timestamp)
	}
	for _, target := range []int64{wanted[0].Timestamp - 5000, wanted[0].Timestamp, wanted[7].Timestamp,
		wanted[12].Timestamp - 1, wanted[middle].Timestamp, wanted[middle+3].Timestamp + 1, highest, highest + 1} {
		what := fmt.Sprintf("%s-%d from time %d", topic, partition, target)
		var first *Found
		for _, record := range wanted {
			if record.Timestamp >= target {
				first = &Found{record.Offset, record.Timestamp}
				break
			}
		}
		found, err := r.client.OffsetForTime(topic, int32(partition), target)
		r.must(what, err)
		r.equal(what+": found", found, first)
		if first != nil {
			rest := wanted[first.Offset:min(int(first.Offset)+5, len(wanted))]
			r.read(what, topic, partition, first.Offset, rest)
		}
	}
}

func (r *run) readTail(topic, codec string, log [][]Record) {
	for partition := range log {
		what := fmt.Sprintf("%s-%d from the end", topic, partition)
		fresh := r.records(len(r.file.Rounds), func(record Record) bool {
			return record.feature && record.Partition == int32(partition)
		})[:liveRecords]
		number(log, fresh)
		got, err := r.client.Tail(topic, int32(partition), func() error {
			_, err := r.client.Produce(topic, codec, Round{"tail", "all", false}, fresh)
			return err
		}, len(fresh))
		r.must(what, err)
		r.compare(what, got, fresh)
	}
}

func (r *run) checkStoredCodec(topic, codec string, records int) {
	r.checks++
	output, err := exec.Command(r.storedCodec, "--bootstrap", r.bootstrap, "--topic", topic, "--expect", codec,
		"--records", strconv.Itoa(records)).CombinedOutput()
	if err != nil {
		panic(mismatch{string(output)})
	}
}

func (r *run) errors(topic string, log [][]Record) {
	unknown := r.prefix + "-unknown"
	r.refused("a topic that is not there", r.client.UnknownTopic(unknown), r.client.IsUnknownTopic)
	topics, err := r.client.Topics()
	r.must("topics", err)
	_, created := topics[unknown]
	r.equal("the unknown topic was created", created, false)
	end := int64(len(log[0]))
	_, err = r.client.Read(topic, 0, end+1000, 1)
	r.refused("an offset beyond the end", err, r.client.IsOutOfRange)
	large := []Record{{Timestamp: 1, Value: make([]byte, r.file.TooLarge)}}
	_, err = r.client.Produce(topic, "none", Round{"large", "all", false}, large)
	r.refused("a record above max.message.bytes", err, r.client.IsTooLarge)
	r.settles("end offset after a refused record", r.endOf(topic, 0), end)
	fmt.Println("ok errors: unknown topic, offset out of range, record too large")
}

func (r *run) admin(topic string, log [][]Record) {
	configs, err := r.client.TopicConfig(topic)
	r.must("describe configs", err)
	r.equal("config cleanup.policy", configs["cleanup.policy"], "delete")
	for key, value := range r.file.TopicConfigs {
		r.equal("config "+key, configs[key], value)
	}
	r.grow(topic)
	before := int64(len(log[0]) / 2)
	r.must("delete records", r.client.DeleteRecords(topic, 0, before))
	r.settles("log start after deleting records", func() (any, error) { return r.client.StartOffset(topic, 0) }, before)
	r.read("after deleting records", topic, 0, Beginning, log[0][before:before+10])
	for _, codec := range r.file.Codecs {
		name := r.prefix + "-" + codec
		r.settles("partitions of "+name, func() (any, error) {
			count, err := r.partitionsOf(name)()
			return count.(int) >= r.file.Partitions, err
		}, true)
	}
	for _, codec := range r.file.DeleteCodecs {
		name := r.prefix + "-" + codec
		r.must("delete "+name, r.client.DeleteTopic(name))
		r.settles("partitions of deleted "+name, r.partitionsOf(name), 0)
	}
	fmt.Println("ok admin: metadata, describe configs, create partitions, delete records, delete topics")
}

func (r *run) grow(topic string) {
	total := r.file.Partitions + 2
	r.must("create partitions", r.client.CreatePartitions(topic, total))
	r.settles("partitions of "+topic, r.partitionsOf(topic), total)
	r.leadersAnswer(topic, r.file.Partitions, total)
	record := r.records(0, nil)[:1]
	record[0].Partition, record[0].Offset = int32(total-1), 0
	_, err := r.client.Produce(topic, "none", Round{"grown", "all", false}, record)
	r.must("produce to a new partition", err)
	r.read("the new partition", topic, total-1, Beginning, record)
}
