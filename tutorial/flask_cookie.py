from flask import Flask, make_response, request, session

app = Flask(__name__)
app.secret_key = "dev-key"
from moored.flask import Moored; Moored(app)


@app.get("/set_session")
def set_session():
    session["user_id"] = 42
    return "Session set"


@app.get("/get_session")
def get_session():
    return f"User ID: {session.get('user_id')}"


@app.get("/set_cookie")
def set_cookie():
    response = make_response("Cookie set")
    response.set_cookie("username", "ann")
    return response


@app.get("/get_cookie")
def get_cookie():
    return f"Welcome {request.cookies.get('username')}"
