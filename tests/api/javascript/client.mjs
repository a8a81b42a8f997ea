// Stores, lists, reads back and deletes by the AWS SDK for JavaScript; prints what it read, as JSON.
// The first argument is JSON: endpoint, bucket, style ("path" or "virtual"), accessKey, secretKey.

import { createHash } from "node:crypto";
import { lookup as resolve } from "node:dns";
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { Readable } from "node:stream";
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";

const said = JSON.parse(process.argv[2]);
const Bucket = said.bucket;
// Names below localhost lead here; not every resolver says so.
const lookup = (host, options, done) =>
  resolve(host.endsWith(".localhost") ? "127.0.0.1" : host, options, done);

const client = new S3Client({
  endpoint: said.endpoint,
  region: "us-east-1",
  forcePathStyle: said.style === "path",
  maxAttempts: 1,
  credentials: { accessKeyId: said.accessKey, secretAccessKey: said.secretKey },
  requestHandler: { httpAgent: new HttpAgent({ lookup }), httpsAgent: new HttpsAgent({ lookup }) },
});

const large = Buffer.alloc(12 * 1024 * 1024, "0123456789abcdef");

await client.send(
  new PutObjectCommand({ Bucket, Key: "a b/ü+%.txt", Body: "text", Metadata: { side: "a" } }),
);
await new Upload({
  client,
  params: { Bucket, Key: "large", Body: Readable.from([large.subarray(0, 7), large.subarray(7)]) },
}).done();
const stream = Readable.from([Buffer.from("a stream of "), Buffer.from("known length")]);
await client.send(
  new PutObjectCommand({ Bucket, Key: "stream", Body: stream, ContentLength: 24 }),
);

const text = await client.send(new GetObjectCommand({ Bucket, Key: "a b/ü+%.txt" }));
const hash = createHash("sha256");
for await (const piece of (await client.send(new GetObjectCommand({ Bucket, Key: "large" }))).Body) {
  hash.update(piece);
}
const streamed = await client.send(new GetObjectCommand({ Bucket, Key: "stream" }));
const listed = await client.send(new ListObjectsV2Command({ Bucket }));
const keys = listed.Contents.map((one) => one.Key);
const read = {
  text: await text.Body.transformToString(),
  metadata: text.Metadata,
  large: hash.digest("hex"),
  wanted: createHash("sha256").update(large).digest("hex"),
  stream: await streamed.Body.transformToString(),
  keys,
};
await client.send(
  new DeleteObjectsCommand({ Bucket, Delete: { Objects: keys.map((Key) => ({ Key })) } }),
);
read.left = (await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount;
console.log(JSON.stringify(read));
