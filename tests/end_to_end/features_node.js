// What an application does with node-postgres. Prints a JSON object: step → result, error or refusal.
"use strict";
const { Client, Pool } = require("pg");
const Cursor = require("pg-cursor");

const url = process.env.FEATURES_URL;
const plain = (value) => JSON.parse(JSON.stringify(value));
const rows = async (client, text, values) => plain((await client.query(text, values)).rows);

const steps = {
  "simple query": (c) => rows(c, "SELECT * FROM customer WHERE email = 'luisg@embraer.com.br'"),
  "several statements": async (c) =>
    plain((await c.query("SELECT 1 AS a; SELECT email FROM customer WHERE customer_id = 2; SELECT 3")).map((r) => r.rows)),
  "parameters": (c) => rows(c, "SELECT customer_id, phone FROM customer WHERE email = $1 OR last_name = $2 ORDER BY 1",
    ["luisg@embraer.com.br", "Tremblay"]),
  "a parameter twice": (c) => rows(c, "SELECT customer_id FROM customer WHERE $1::text IS NULL OR email = $1 ORDER BY 1", [null]),
  "an array": (c) => rows(c, "SELECT customer_id FROM customer WHERE email = ANY($1) ORDER BY 1",
    [["luisg@embraer.com.br", "ftremblay@gmail.com", "no'\\\"body"]]),
  "named statement, twice": async (c) => {
    const found = [];
    for (const mail of ["luisg@embraer.com.br", "ftremblay@gmail.com"]) {
      found.push(plain((await c.query({ name: "by-mail", text: "SELECT * FROM customer WHERE email = $1", values: [mail] })).rows));
    }
    return found;
  },
  "rows as arrays, with fields": async (c) => {
    const result = await c.query({ text: "SELECT email, birth_date FROM employee ORDER BY employee_id", rowMode: "array" });
    const fields = result.fields.map((f) => [f.name, f.dataTypeID, f.dataTypeModifier, f.format]);
    return plain([result.rows, fields, result.rowCount, result.command]);
  },
  "binary results": async (c) =>
    plain((await c.query({ text: "SELECT customer_id, email FROM customer WHERE customer_id < $1", values: [4], binary: true })).rows),
  "queued queries": (c) => Promise.all([1, 2, 3].map((id) => rows(c, "SELECT email FROM customer WHERE customer_id = $1", [id]))),
  "a date": (c) => rows(c, "SELECT id, born FROM profile WHERE born = $1 OR born IS NULL", ["1962-09-13"]),
  "a date object": (c) => rows(c, "SELECT employee_id FROM employee WHERE birth_date = $1", [new Date(Date.UTC(1962, 1, 18))]),
  "a document": (c) => rows(c, "SELECT id, doc FROM profile WHERE id < $1 ORDER BY id", [5]),
  "like": (c) => rows(c, "SELECT customer_id FROM customer WHERE email LIKE $1 ORDER BY 1", ["%gmail%"]),
  "ilike and a limit": (c) => rows(c, "SELECT email FROM customer WHERE last_name ILIKE $1 ORDER BY email LIMIT $2", ["%a%", 5]),
  "comparison": (c) => rows(c, "SELECT customer_id FROM customer WHERE last_name > $1 ORDER BY last_name, 1", ["S"]),
  "order by": (c) => rows(c, "SELECT customer_id FROM customer ORDER BY email"),
  "aggregates": (c) => rows(c, "SELECT count(DISTINCT first_name), min(email), max(last_name) FROM customer"),
  "json in the server": (c) =>
    rows(c, "SELECT json_agg(json_build_object('m', email, 'p', phone) ORDER BY customer_id) AS all FROM customer"),
  "a cursor": async (c) => {
    const cursor = c.query(new Cursor("SELECT email, last_name FROM customer WHERE customer_id > $1 ORDER BY customer_id", [10]));
    const found = [];
    for (let part = await cursor.read(7); part.length; part = await cursor.read(7)) found.push(part);
    await cursor.close();
    return plain(found);
  },
  "a cursor left early": async (c) => {
    const cursor = c.query(new Cursor("SELECT email FROM customer ORDER BY customer_id"));
    const first = await cursor.read(2);
    await cursor.close();
    return plain([first, await rows(c, "SELECT email FROM customer WHERE customer_id = 1")]);
  },
  "insert, returning": async (c) => {
    const made = await rows(c, "INSERT INTO customer (customer_id, first_name, last_name, email) VALUES ($1, $2, $3, $4) RETURNING *",
      [9000, "Ö", "O'D", "node@example.org"]);
    return [made, await rows(c, "SELECT * FROM customer WHERE email = $1", ["node@example.org"])];
  },
  "insert of many by unnest": async (c) => {
    await c.query("INSERT INTO customer (customer_id, email, first_name, last_name, fax)" +
      " SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $3::text[], $4::text[])",
      [[9001, 9002, 9003], ["a@node", "b@node", "c@node"], ["A", "B", ""], ["1", null, "3"]]);
    return rows(c, "SELECT customer_id, email, last_name, fax FROM customer WHERE customer_id > 9000 ORDER BY 1");
  },
  "upsert": async (c) => {
    const text = "INSERT INTO customer (customer_id, email, last_name, first_name) VALUES ($1, $2, $3, 'F')" +
      " ON CONFLICT (customer_id) DO UPDATE SET email = EXCLUDED.email, last_name = $3 RETURNING email, last_name";
    return [await rows(c, text, [9000, "one@node", "A"]), await rows(c, text, [9000, "two@node", "B"])];
  },
  "update and delete": async (c) => {
    await c.query("INSERT INTO customer (customer_id, email, first_name, last_name) VALUES (9000, 'x@node', '', 'X')");
    const updated = await rows(c, "UPDATE customer SET email = $1, fax = $2 WHERE email = $3 RETURNING email, fax", ["y@node", "", "x@node"]);
    return [updated, (await c.query("DELETE FROM customer WHERE email = $1", ["y@node"])).rowCount];
  },
  "a document written": async (c) => {
    await c.query("UPDATE profile SET doc = $1, born = $2 WHERE id = 1", [{ a: [1, "é"] }, "2000-02-29"]);
    return rows(c, "SELECT doc, born FROM profile WHERE id = 1");
  },
  "a unique violation": async (c) => {
    const error = await c.query("INSERT INTO customer (customer_id, email, first_name, last_name) VALUES (1, '', '', '')").catch((e) => e);
    return [error.code, error.detail, error.table, error.constraint, error.severity];
  },
};

const outcome = async (step, client) => {
  await client.query("BEGIN");
  try {
    return await step(client);
  } catch (error) {
    if (error.code === "0A000") return { refused: error.message };
    return { error: error.code ?? String(error) };
  } finally {
    await client.query("ROLLBACK");
  }
};

const main = async () => {
  const client = new Client({ connectionString: url });
  await client.connect();
  const found = {};
  for (const [name, step] of Object.entries(steps)) found[name] = await outcome(step, client);
  await client.end();
  const pool = new Pool({ connectionString: url, max: 3 });
  const asked = [1, 2, 3, 4, 5, 6].map((id) => pool.query("SELECT email FROM customer WHERE customer_id = $1", [id]));
  found["a pool"] = (await Promise.all(asked)).map((r) => r.rows[0].email);
  await pool.end();
  process.stdout.write(JSON.stringify(found));
};

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
