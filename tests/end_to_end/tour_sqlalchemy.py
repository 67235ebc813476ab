"""What an application does with SQLAlchemy's ORM, with the psycopg and the asyncpg dialect."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from decimal import Decimal

from sqlalchemy import (
    CompoundSelect,
    ForeignKey,
    String,
    bindparam,
    create_engine,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
    subqueryload,
)


class Base(DeclarativeBase):
    pass


class Employee(Base):
    __tablename__ = "employee"

    employee_id: Mapped[int] = mapped_column(primary_key=True)
    last_name: Mapped[str] = mapped_column(String(20))
    first_name: Mapped[str] = mapped_column(String(20))
    reports_to: Mapped[int | None] = mapped_column(ForeignKey("employee.employee_id"))
    birth_date: Mapped[datetime.datetime | None]
    phone: Mapped[str | None] = mapped_column(String(24))
    email: Mapped[str | None] = mapped_column(String(60))
    customers: Mapped[list[Customer]] = relationship(back_populates="agent", order_by="Customer.customer_id")
    manager: Mapped[Employee | None] = relationship(remote_side=[employee_id])


class Customer(Base):
    __tablename__ = "customer"

    customer_id: Mapped[int] = mapped_column(primary_key=True)
    first_name: Mapped[str] = mapped_column(String(40))
    last_name: Mapped[str] = mapped_column(String(20))
    company: Mapped[str | None] = mapped_column(String(80))
    address: Mapped[str | None] = mapped_column(String(70))
    country: Mapped[str | None] = mapped_column(String(40))
    phone: Mapped[str | None] = mapped_column(String(24))
    fax: Mapped[str | None] = mapped_column(String(24))
    email: Mapped[str] = mapped_column(String(60))
    support_rep_id: Mapped[int | None] = mapped_column(ForeignKey("employee.employee_id"))
    agent: Mapped[Employee | None] = relationship(back_populates="customers")
    invoices: Mapped[list[Invoice]] = relationship(back_populates="customer", order_by="Invoice.invoice_id")


class Invoice(Base):
    __tablename__ = "invoice"

    invoice_id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.customer_id"))
    invoice_date: Mapped[datetime.datetime]
    billing_address: Mapped[str | None] = mapped_column(String(70))
    total: Mapped[Decimal]
    customer: Mapped[Customer] = relationship(back_populates="invoices")


def tour_sync(dsn: str) -> list[object]:
    """With psycopg 3."""
    engine = create_engine(dsn.replace("postgresql://", "postgresql+psycopg://"))
    seen: list[object] = []
    try:
        for part in PARTS:
            with Session(engine) as session:
                part(session, seen)
    finally:
        engine.dispose()
    return seen


def tour_async(dsn: str) -> list[object]:
    """With asyncpg."""
    return asyncio.run(_tour_async(dsn))


async def _tour_async(dsn: str) -> list[object]:
    engine = create_async_engine(dsn.replace("postgresql://", "postgresql+asyncpg://"))
    seen: list[object] = []

    def play(connection: object) -> None:
        for part in PARTS:
            with Session(connection, join_transaction_mode="create_savepoint") as session:  # type: ignore[arg-type]
                part(session, seen)

    try:
        async with engine.begin() as connection:
            await connection.run_sync(play)
    finally:
        await engine.dispose()
    return seen


def _person(one: Customer | Employee | None) -> object:
    if one is None:
        return None
    return {k: v for k, v in vars(one).items() if isinstance(v, (str, int, datetime.datetime, type(None)))}


def _read(session: Session, seen: list[object]) -> None:
    seen.append([_person(c) for c in session.scalars(select(Customer).order_by(Customer.customer_id))])
    seen.append([_person(e) for e in session.scalars(select(Employee).order_by(Employee.employee_id))])
    seen.append(_person(session.get(Customer, 7)))
    by_mail = select(Customer).where(Customer.email == "luisg@embraer.com.br")
    seen.append(_person(session.scalars(by_mail).one()))
    seen.append(
        _person(
            session.scalars(select(Customer).filter_by(last_name="Tremblay", first_name="François")).first()
        )
    )
    names = select(Customer.email).where(Customer.last_name.in_(["Tremblay", "Gruber", "Nobody"]))
    seen.append(session.scalars(names.order_by(Customer.customer_id)).all())
    seen.append(session.scalars(select(Customer.customer_id).where(Customer.last_name.in_([]))).all())
    others = select(func.count()).where(Customer.last_name.not_in(["Tremblay"]), Customer.email != "x@y.z")
    seen.append(session.scalar(others))
    seen.append(
        session.scalars(
            select(Customer.email).where(Customer.fax.is_(None)).order_by(Customer.customer_id)
        ).all()
    )
    pair = tuple_(Customer.first_name, Customer.last_name).in_([("Leonie", "Köhler"), ("Luís", "Gonçalves")])
    seen.append(session.scalars(select(Customer.email).where(pair).order_by(Customer.customer_id)).all())
    born = select(Employee.email).where(Employee.birth_date == datetime.datetime(1962, 2, 18))
    seen.append(session.scalars(born).all())
    bound = select(Customer.customer_id).where(Customer.email == bindparam("mail"))
    for mail in ("luisg@embraer.com.br", "none@x.org"):
        seen.append(session.scalars(bound, {"mail": mail}).all())
    same = session.query(Customer).filter(
        Customer.email == "ftremblay@gmail.com", Customer.country == "Canada"
    )
    seen.append([_person(c) for c in same])
    seen.append(session.query(Customer.email).filter(Customer.email.is_(None)).count())


def _join(session: Session, seen: list[object]) -> None:
    rows = session.execute(
        select(Customer.email, Invoice.billing_address, Invoice.total)
        .join(Customer.invoices)
        .where(Customer.last_name == "Tremblay")
        .order_by(Invoice.invoice_id)
    )
    seen.append([tuple(row) for row in rows])
    same_address = exists().where(Invoice.billing_address == Customer.address, Invoice.total > 20)
    seen.append(
        session.scalars(select(Customer.email).where(same_address).order_by(Customer.customer_id)).all()
    )
    manager = aliased(Employee)
    pairs = select(Employee.email, manager.email).outerjoin(
        manager, Employee.reports_to == manager.employee_id
    )
    seen.append([tuple(r) for r in session.execute(pairs.order_by(Employee.employee_id))])
    spent = (
        select(Invoice.customer_id, func.sum(Invoice.total).label("spent"))
        .group_by(Invoice.customer_id)
        .subquery()
    )
    best = select(Customer.first_name, spent.c.spent).join(spent, spent.c.customer_id == Customer.customer_id)
    seen.append(
        [tuple(r) for r in session.execute(best.order_by(spent.c.spent.desc(), Customer.customer_id))]
    )
    both: CompoundSelect[tuple[str, str]] = union_all(
        select(Customer.email, literal("customer")).where(Customer.customer_id == 1),
        select(Employee.email, literal("employee")).where(Employee.employee_id == 1),
    )
    seen.append(sorted(tuple(r) for r in session.execute(both)))
    counted = select(Customer.country, func.count(Customer.email.distinct())).group_by(Customer.country)
    seen.append([tuple(r) for r in session.execute(counted.order_by(Customer.country))])


def _load(session: Session, seen: list[object]) -> None:
    for how in (selectinload, joinedload, subqueryload):
        session.expunge_all()
        query = select(Employee).options(how(Employee.customers)).order_by(Employee.employee_id)
        loaded = session.scalars(query).unique().all()
        seen.append([(e.email, [c.email for c in e.customers]) for e in loaded])
    session.expunge_all()
    one = session.get(Customer, 3)
    assert one is not None
    seen.append((one.email, [i.billing_address for i in one.invoices], _person(one.agent)))
    deep = select(Invoice).options(joinedload(Invoice.customer).joinedload(Customer.agent))
    for invoice in session.scalars(deep.where(Invoice.invoice_id < 6).order_by(Invoice.invoice_id)):
        agent = invoice.customer.agent
        seen.append((invoice.billing_address, invoice.customer.email, agent.birth_date if agent else None))


def _write(session: Session, seen: list[object]) -> None:
    session.add(Customer(customer_id=5000, first_name="Añ", last_name="O'X", email="a@orm.example", fax=""))
    session.add_all(
        Customer(customer_id=5000 + n, first_name=f"F{n}", last_name="Many", email=f"{n}@orm.example")
        for n in range(1, 30)
    )
    agent = Employee(
        employee_id=500, first_name="New", last_name="Agent", birth_date=datetime.datetime(1990, 5, 6)
    )
    agent.customers.append(
        Customer(customer_id=5100, first_name="Of", last_name="Agent", email="of@orm.example")
    )
    session.add(agent)
    session.commit()
    one = session.scalars(select(Customer).where(Customer.email == "a@orm.example")).one()
    seen.append(_person(one))
    one.email, one.phone = "b@orm.example", "+1"
    session.flush()
    session.refresh(one)
    seen.append(_person(one))
    new = [
        {"customer_id": 5200 + n, "first_name": "B", "last_name": "C", "email": f"{n}@bulk.example"}
        for n in range(12)
    ]
    seen.append(session.scalars(insert(Customer).returning(Customer.email), new).all())
    changed = update(Customer).where(Customer.email == "3@bulk.example").values(last_name="Dee", fax=None)
    seen.append([tuple(r) for r in session.execute(changed.returning(Customer.last_name, Customer.email))])
    session.execute(update(Customer), [{"customer_id": 5200, "email": "x@bulk.example"}, {"customer_id": 5201,
                    "email": "y@bulk.example"}])  # fmt: skip
    upsert = postgres_insert(Customer).values(
        customer_id=5200, first_name="U", last_name="P", email="up@bulk.example"
    )
    upsert = upsert.on_conflict_do_update(
        index_elements=["customer_id"], set_={"email": upsert.excluded.email}
    )
    seen.append([tuple(r) for r in session.execute(upsert.returning(Customer.email, Customer.last_name))])
    later = select(Customer.customer_id, Customer.email).where(Customer.customer_id >= 5000)
    seen.append([tuple(r) for r in session.execute(later.order_by(Customer.customer_id))])
    gone = delete(Customer).where(Customer.email.in_(["up@bulk.example", "y@bulk.example"]))
    seen.append(sorted(session.scalars(gone.returning(Customer.email))))
    session.delete(session.get(Customer, 5100))
    session.execute(delete(Customer).where(Customer.customer_id >= 5000))
    session.execute(delete(Employee).where(Employee.employee_id == 500))
    session.commit()


def _errors(session: Session, seen: list[object]) -> None:
    for wrong in (
        Customer(customer_id=1, first_name="a", last_name="b", email="c"),
        Customer(customer_id=6000, first_name="a", last_name="far too long for varchar(20)", email="c"),
    ):
        nested = session.begin_nested()
        session.add(wrong)
        try:
            session.flush()
        except DBAPIError as error:
            seen.append((type(error).__name__, str(error.orig)))
            nested.rollback()
        else:
            seen.append("no error")
    seen.append(session.scalar(select(Customer.email).where(Customer.customer_id == 1)))


PARTS: list[Callable[[Session, list[object]], None]] = [_read, _join, _load, _write, _errors]
